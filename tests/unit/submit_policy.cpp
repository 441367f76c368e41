// What a submitter may choose where `submit.shell` is false, by somebody who wants more.

#include <doctest/doctest.h>

#include "conf/agent_conf.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "policy/submit_policy.hpp"

using namespace sutfleet;

namespace {

constexpr std::string_view k_conf = R"(
submit:
  shell: false
  commands:
    flash:
      run: [flash-tool, --slot, "{slot}", "--speed={speed}", "{image}", "{image}.sig", "{ print }", "{}"]
      parameters:
        slot: {type: integer, min: 0, max: 3}
        image: {type: text, match: "[a-z0-9.-]+"}
        speed: {type: choice, values: [slow, --fast], default: slow}
    say: {run: [sh, -c, 'printf "%s" "$1"', sh, "{what}"], parameters: {what: {type: text, max_length: 8}}}
    volts: {run: [psu, "{v}", "{on}"], parameters: {v: {type: number, min: -0.5, max: 3.3}, on: {type: boolean, default: "true"}}}
    far: {run: [ssh, dut, "flash {image}"], parameters: {image: {type: text}}}
    status: {run: [status]}
)";

tl::expected<SutConf, std::vector<ConfError>> conf_of(std::string_view text) { return decode_sut_conf(*SutName::parse("alpha"), text); }

SubmitPolicy policy() {
    const auto conf = conf_of(k_conf);
    if (!conf) MESSAGE(conf.error().front().message);
    REQUIRE(conf);
    return conf->agent.submit;
}

Result<std::optional<Command>> ask(std::string_view payload, const SubmitPolicy& by = policy()) {
    const auto request = decode_submit(payload);
    if (!request) return fail(request.error());
    return permit(by, *request);
}

std::vector<std::string> argv(std::string_view payload) {
    const auto got = ask(payload);
    if (!got) MESSAGE(got.error().message);
    REQUIRE(got);
    REQUIRE(*got);
    return (*got)->argv;
}

std::string refusal(std::string_view payload) {
    CAPTURE(payload);
    const auto got = ask(payload);
    REQUIRE_FALSE(got);
    CHECK(got.error().message.find('\n') == std::string::npos);
    return got.error().message;
}

std::string conf_error(const std::string& submit) {
    const auto conf = conf_of("submit: " + submit);
    if (conf) return {};
    return to_string("f", conf.error().front());
}

}  // namespace

TEST_CASE("submit policy: a named command runs by its argv, from a text and from JSON") {
    const std::vector<std::string> flash{"flash-tool", "--slot", "1", "--speed=slow", "a.img", "a.img.sig", "{ print }", "{}"};
    CHECK(argv("flash slot=1 image=a.img") == flash);
    CHECK(argv("  flash\timage=a.img\r\n slot=1\n") == flash);
    CHECK(argv(R"({"command":"flash","arguments":{"slot":1,"image":"a.img"}})") == flash);
    CHECK(argv(R"({"command":"flash","arguments":{"slot":"1","image":"a.img","speed":"slow"},"id":"j1","timeout":"5m","retries":{"max":1}})") == flash);
    CHECK(argv(R"({"command":"flash slot=1 image=a.img"})") == flash);
    CHECK(argv("flash slot=1 image=a speed=--fast")[3] == "--speed=--fast");
    CHECK(argv("status") == std::vector<std::string>{"status"});
    CHECK(argv(R"({"command":"volts","arguments":{"v":-0.5,"on":false}})") == std::vector<std::string>{"psu", "-0.5", "false"});
    CHECK(argv("volts v=3") == std::vector<std::string>{"psu", "3", "true"});
}

TEST_CASE("submit policy: a value is one argument, whatever is in it, and never code") {
    CHECK(argv(R"({"command":"say","arguments":{"what":"a;ls $x"}})").empty() == false);
    CHECK(argv(R"j({"command":"say","arguments":{"what":"$(id)"}})j") == std::vector<std::string>{"sh", "-c", "printf \"%s\" \"$1\"", "sh", "$(id)"});
    // It is not looked at for further placeholders.
    CHECK(argv(R"({"command":"say","arguments":{"what":"{what}"}})").back() == "{what}");
    // Nor can it become an option.
    CHECK(refusal("say what=-x").find("begin with '-'") != std::string::npos);
    CHECK(refusal("flash slot=1 image=-rf").find("begin with '-'") != std::string::npos);
    // Nor reach a shell on the other side of an ssh.
    CHECK(argv("far image=a.img").back() == "flash a.img");
    for (const auto* bad : {"a;reboot", "$(reboot)", "a b", "`x`", "a&b", "a|b", "~", "*", "a\\nb"})
        CHECK(refusal(std::string(R"({"command":"far","arguments":{"image":")") + bad + "\"}}").size() > 0);
}

TEST_CASE("submit policy: what is not allowed is refused with what is") {
    CHECK(refusal("reboot") == "'reboot' is not allowed: expected one of far, flash, say, status, volts");
    CHECK(refusal("touch /tmp/x") == "'touch' is not allowed: expected one of far, flash, say, status, volts");
    CHECK(refusal("flash /tmp/x").find("expected parameter=value, found '/tmp/x'") != std::string::npos);
    CHECK(refusal("flash slot=4 image=a") ==
          "flash: 'slot': expected a whole number from 0 to 3, found '4'; usage: flash image=[a-z0-9.-]+ slot=0..3 [speed=slow|--fast]");
    for (const auto* bad :
         {"flash", "flash slot=1", "flash slot=1 image=", "flash slot=01 image=a", "flash slot=+1 image=a", "flash slot=1e0 image=a", "flash slot=0x1 image=a",
          "flash slot=1.0 image=a", "flash slot=-1 image=a", "flash slot=1 image=A", "flash slot=1 image=a/../b", "flash slot=1 slot=1 image=a",
          "flash slot=1 image=a x=1", "flash slot=1 image=a =1", "flash slot=1 image=a; reboot", "flash slot=1 image=a\nreboot", "flash slot=1 image='a b'",
          "flash slot=1 image=a speed=medium", "Flash slot=1 image=a", "flash; reboot", "/bin/sh", "sh -c reboot", "volts v=4", "volts v=.5", "volts v=1.", "volts v=1.2.3", "flash slot=-0 image=a", "volts v=-0", "volts v=-0.00",
          "volts v=nan", "volts v=inf", "volts v=1 on=yes", "say what=123456789", "status x=1", "status 1"})
        CHECK(refusal(bad).size() > 0);
    for (const auto* bad : {R"({"command":"flash slot=1 image=a","arguments":{}})", R"({"command":"flash","arguments":{"slot":1.5,"image":"a"}})",
                            R"({"command":"flash","arguments":{"slot":18446744073709551615,"image":"a"}})",
                            R"({"command":"flash","arguments":{"slot":true,"image":"a"}})", R"({"command":"flash","arguments":{"slot":[1],"image":"a"}})",
                            R"({"command":"flash","arguments":{"slot":null,"image":"a"}})", R"({"command":"flash","arguments":["1"]})",
                            R"({"command":"flash","arguments":{"slot":1,"image":"a\nb"}})", R"({"command":"flash","arguments":{"slot":1,"image":"a\u0000b"}})",
                            R"({"command":"say","arguments":{"what":"a\tb"}})", R"({"command":"say","arguments":{"what":"\u007f"}})",
                            R"({"command":"","arguments":{}})", R"({"arguments":{}})", R"({"id":"j1"})", R"({"command":""})"})
        CHECK(refusal(bad).size() > 0);
    // The reason quotes no more than a little of it, in one line.
    CHECK(refusal(std::string(5000, 'x')).size() < 200);
    CHECK(refusal("x\x1b[2J").find('\x1b') == std::string::npos);
}

TEST_CASE("submit policy: nothing beside the values reaches a process") {
    const auto with = [](const std::string& more) { return R"({"command":"status",)" + more + "}"; };
    for (const auto* bad : {R"("env":{"LD_PRELOAD":"/tmp/x.so"})", R"("env":{"PATH":"."})", R"("env":{"BASH_ENV":"x"})", R"("env":{})", R"("phases":{"provision":{"url":"x"}})",
                            R"("phases":{})", R"("provision_data":{"url":"x"})", R"("provision_data":null)", R"("firmware_update_data":{})", R"("reserve_data":{})",
                            R"("allocate_data":{})", R"("test_data":{"test_cmds":"status"})", R"("test_data":{})", R"j("context":{"x":"$(id)"})j", R"("name":"x")", R"("tags":[])"})
        CHECK(refusal(with(bad)).find("is not allowed") != std::string::npos);
    for (const auto* good : {R"("id":"j1")", R"("timeout":"1s")", R"("output_timeout":"1s")", R"("global_timeout":5)", R"("priority":100)", R"("expires":"1m")",
                             R"("retries":{"max":100})", R"("artifacts":["*.xml"])"})
        CHECK(argv(with(good)).size() == 1);
    CHECK(refusal(with(R"("artifacts":["../x"])")).size() > 0);
    CHECK(refusal(with(R"("id":"../x")")).size() > 0);
    std::string many = R"("artifacts":["a")";
    for (int i = 0; i < 100; ++i) many += R"(,"a")";
    CHECK(refusal(with(many + "]")).find("100") != std::string::npos);
}

TEST_CASE("submit policy: with a shell a text is a text; a name needs its arguments") {
    auto open = policy();
    open.shell = true;
    const auto text = ask("flash slot=1 image=a", open);
    REQUIRE(text);
    CHECK_FALSE(*text);
    CHECK(ask(R"({"command":"status","env":{"A":"1"}})", open).value() == std::nullopt);
    CHECK(ask(R"({"command":"status","arguments":{},"env":{"A":"1"}})", open).value()->argv == std::vector<std::string>{"status"});
    CHECK_FALSE(ask(R"({"command":"reboot","arguments":{}})", open));
    CHECK_FALSE(ask(R"({"command":"reboot","arguments":{}})", SubmitPolicy{}));
    SubmitPolicy nothing;
    nothing.shell = false;
    CHECK(ask("x", nothing).error().message == "'x' is not allowed: no command may be submitted here");
}

TEST_CASE("submit policy: a conf that would open a hole is refused where it stands") {
    const auto command = [](const std::string& run, const std::string& parameters) { return "{commands: {x: {run: " + run + ", parameters: {" + parameters + "}}}}"; };
    const std::string any = "a: {type: text}";
    CHECK(conf_error(command("[t, '{a}']", any)).empty());
    CHECK(conf_error(command("[sh, -ec, 'x \"$1\"', sh, '{a}']", any)).empty());
    CHECK(conf_error(command("[sh, /opt/x.sh, '{a}']", any)).empty());
    CHECK(conf_error(command("[t, '']", "")).empty());
    for (const auto* run : {"['{a}']", "['{a}', x]", "[sh, -c, 'x {a}']", "[/bin/bash, -e, -lc, 'x {a}']", "[bash, '{a}']", "[busybox, sh, -c, '{a}']", "[env, A=1, sh, -c, '{a}']",
                            "[timeout, 5, sh, -c, '{a}']", "[python3, -c, 'print(\"{a}\")']", "[perl, -e, '{a}']", "[sh, '-{a}', x]"})
        CHECK_MESSAGE(!conf_error(command(run, any)).empty(), run);
    CHECK(conf_error(command("[t, '{b}']", any)).find("{b}") != std::string::npos);
    CHECK(conf_error(command("[t]", any)).find("{a} is not") != std::string::npos);
    CHECK(conf_error(command("'t {a}'", any)).find("a list of") != std::string::npos);
    CHECK(conf_error(command("[]", "")).find("a list of") != std::string::npos);
    CHECK(conf_error("{commands: {x: {parameters: {}}}}").find("'submit.commands.x.run' is missing") != std::string::npos);
    CHECK(conf_error("{commands: {'x y': {run: [t]}}}").find("expected a name") != std::string::npos);
    CHECK(conf_error("{commands: [x]}").find("a map of names") != std::string::npos);
    CHECK(conf_error("{shel: false}").find("did you mean 'shell'") != std::string::npos);
    for (const auto* bad : {"a: {type: word}", "a: {}", "a: {type: text, match: '('}", "a: {type: text, min: 1}", "a: {type: integer, match: x}", "a: {type: integer, min: 1.5}",
                            "a: {type: integer, min: 5, max: 1}", "a: {type: number, max: 1e300}", "a: {type: number, max: nan}", "a: {type: choice}", "a: {type: choice, values: []}",
                            "a: {type: boolean, default: 'yes'}", "a: {type: integer, max: 3, default: 4}", "a: {type: text, max_length: 5000}", "a: {type: text, default: ''}",
                            "'a b': {type: text}", "a: text"})
        CHECK_MESSAGE(!conf_error(command("[t, '{a}']", bad)).empty(), bad);
}

TEST_CASE("submit policy: it reaches the agent as it is") {
    AgentConf conf{*SutName::parse("alpha"), "s", "b", "", "1", {}};
    conf.rules.submit = policy();
    const auto back = decode_agent_conf(encode_agent_conf(conf));
    REQUIRE(back);
    CHECK(*back == conf);
    auto text = encode_agent_conf(conf);
    text.replace(text.find("\"integer\""), 9, "\"anything\"");
    CHECK_FALSE(decode_agent_conf(text));
}
