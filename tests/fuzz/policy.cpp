// With `shell: false`: whatever is submitted, what runs is an argv of the conf with values that its types allow.

#include "policy/submit_policy.hpp"

#include <algorithm>
#include <stdexcept>

#include "conf/sut_conf_yaml.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

namespace {

constexpr std::string_view k_conf = R"(
submit:
  shell: false
  commands:
    flash:
      run: [flash-tool, "--slot={slot}", "{image}", "{on}"]
      parameters:
        slot: {type: integer, min: -1, max: 3}
        image: {type: text, match: "[a-z0-9.-]*"}
        on: {type: boolean, default: "true"}
    say: {run: [sh, -c, 'echo "$1"', sh, "{a}{b}"], parameters: {a: {type: text, match: '.*'}, b: {type: text}}}
    far: {run: [ssh, dut, "set {v} {x}"], parameters: {v: {type: number, max: 5}, x: {type: text, max_length: 9}}}
    pick: {run: [t, "{c}"], parameters: {c: {type: choice, values: [a, --b]}}}
)";

bool clean(std::string_view word) {
    return std::ranges::none_of(word, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

void look(const std::vector<std::string>& argv) {
    for (const auto& word : argv) must(clean(word));
    const auto one_of = [](const std::string& word, std::initializer_list<const char*> words) { return std::ranges::find(words, word) != words.end(); };
    if (argv.at(0) == "flash-tool") {
        must(argv.size() == 4 && one_of(argv[1], {"--slot=-1", "--slot=0", "--slot=1", "--slot=2", "--slot=3"}) && one_of(argv[3], {"true", "false"}));
        must(!argv[2].starts_with('-') && argv[2].find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string::npos);
    } else if (argv[0] == "sh") {
        must(argv.size() == 5 && argv[2] == "echo \"$1\"" && !argv[4].starts_with('-') && argv[4].size() <= 400);
    } else if (argv[0] == "ssh") {
        must(argv.size() == 3 && argv[2].starts_with("set ") && argv[2].find_first_of(";&|$`<>()\\\"'*?~#!{}[]\n") == std::string::npos);
        must(std::ranges::count(argv[2], ' ') == 2);
    } else {
        must(argv.size() == 2 && argv[0] == "t" && one_of(argv[1], {"a", "--b"}));
    }
}

}  // namespace

void fuzz(std::string_view text) {
    static const auto conf = decode_sut_conf(*SutName::parse("alpha"), k_conf);
    must(conf.has_value());
    const auto request = decode_submit(text);
    if (!request) return;
    const auto permitted = permit(conf->agent.submit, *request);
    if (!permitted) return must(clean(permitted.error().message) && permitted.error().message.size() < 2000);
    must(permitted->has_value() && request->env.empty() && request->phases.empty());
    look((*permitted)->argv);
    auto open = conf->agent.submit;
    open.shell = true;
    must(permit(open, *request).has_value());
}
