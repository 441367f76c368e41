#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "completion.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "options.hpp"
#include "template.hpp"

using namespace sutfleet;
using namespace sutfleet::ctl;

namespace {

const auto k_name = *SutName::parse("rpi4-01");

std::string filled(const std::string& text, const Values& values) {
    return fill_in({"t", text}, k_name.str(), values).value_or("error");
}

bool shows(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("sutctl add: every shipped template says what it is, and is a right conf once its keys are given") {
    CHECK(shipped_templates().size() >= 5);
    for (const auto& each : shipped_templates()) {
        CAPTURE(each.name);
        CHECK_FALSE(each.what().empty());
        Values values;
        for (const auto& key : template_keys(each.text))
            if (!key.otherwise) values[key.name] = "some.value";
        const auto text = fill_in(each, k_name.str(), values);
        REQUIRE(text);
        CHECK_FALSE(shows(*text, "{{"));
        const auto conf = decode_sut_conf(k_name, *text);
        if (!conf) CAPTURE(conf.error().front().message);
        CHECK(conf);
        CHECK_FALSE(fill_in(each, k_name.str(), {{"no-such-key", "x"}}));
    }
}

TEST_CASE("sutctl add: keys with and without defaults, the name, the same key again") {
    const std::string text = "a: {{x}} {{x=1}} {{y}} {{name}} {{z=}} {{open";
    CHECK(template_keys(text) == std::vector<TemplateKey>{{"x", "1"}, {"y", {}}, {"z", ""}});
    CHECK(filled(text, {{"y", "Y"}}) == "a: 1 1 Y rpi4-01  {{open");
    const auto missing = fill_in({"t", text}, "rpi4-01", {});
    CHECK(missing.error().exit == 2);
    CHECK(shows(missing.error().message, "expected y=…"));
    CHECK(shows(fill_in({"t", text}, "rpi4-01", {{"why", "x"}}).error().message, "no key 'why'"));
    CHECK(parse_values({"a=b=c", "d="}) == Values{{"a", "b=c"}, {"d", ""}});
    for (const auto* wrong : {"a", "=b", "", "a=x\ny: z"}) CHECK(parse_values({wrong}).error().exit == 2);
    CHECK_FALSE(parse_values({"a=1", "a=2"}));
}

TEST_CASE("sutctl add: whatever the value is, YAML has it as it was given") {
    rc::check("of a whole value", [](const std::string& raw) {
        std::string value;
        for (const char c : raw)
            if (c >= 0x20 && c < 0x7F) value += c;
        RC_PRE(!value.empty());
        const auto conf = decode_sut_conf(k_name, filled("description: {{d}}\nrestart: no\n", {{"d", value}}));
        RC_ASSERT(conf);
        RC_ASSERT(conf->description == value);
    });
    for (const std::string value : {"rack #4", "a: b", "it's", "- x", "{", "", " lead", "true", "0x1", "ä", "*a", "&a", "!x", "%", "@"}) {
        const auto conf = decode_sut_conf(k_name, filled("description: {{d}}\nrestart: no\n", {{"d", value}}));
        REQUIRE_MESSAGE(conf, value);
        CHECK(conf->description == value);
    }
}

TEST_CASE("sutctl completion: each command and option of --help is in each shell's script") {
    const auto table = command_table();
    CHECK(table.size() > 20);
    for (const auto* shell : {"bash", "zsh", "fish"}) {
        const auto script = completion_script(shell, table);
        CAPTURE(shell);
        for (const auto& command : table) {
            CHECK(shows(script, command.name));
            for (const auto& option : command.options)
                for (const auto& name : option.names)
                    CHECK_MESSAGE(shows(script, std::string(shell) == "fish" ? name.substr(name.find_first_not_of('-')) : name), name);
        }
    }
    const auto logs = std::ranges::find(table, "logs", &CommandSpec::name);
    REQUIRE(logs != table.end());
    CHECK(logs->words == std::vector<std::string>{"sut", "job"});
    const auto tail = std::ranges::find_if(logs->options, [](const auto& option) { return option.names.front() == "--tail"; });
    REQUIRE(tail != logs->options.end());
    CHECK(tail->takes_value);
}
