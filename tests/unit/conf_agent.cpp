#include <doctest/doctest.h>

#include "conf/agent_conf.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

TEST_CASE("agent conf: what is encoded is decoded") {
    AgentConf conf{*SutName::parse("alpha"), "sutfleet", "mqtt://broker:1884", "lab/", "abc", {}};
    conf.rules.command = Command{{"/bin/sh", "-c", "echo \"ä\"\n"}};
    conf.rules.restart = RestartPolicy::no;
    conf.rules.queues = {"alpha", "pool"};
    conf.rules.phases["test"] = Command{{"x"}};
    conf.rules.timeouts.queue = 5min;
    conf.rules.health.silence = 30s;
    conf.rules.health.restart_on_unhealthy = false;
    conf.rules.env = {{"A", "1"}};
    conf.rules.household = {{{"tools", {{"x"}}}, {"flash", {{"/bin/sh", "-c", "y"}}}},
                            {{"sshd", {{"sshd", "-D"}}}},
                            {{"token", {{"z"}}, 1h}},
                            {{"c3", "http://x/", 1min, 5s}}};
    conf.rules.log = {70'000, 3};
    const auto back = decode_agent_conf(encode_agent_conf(conf));
    REQUIRE(back);
    CHECK(*back == conf);
}

TEST_CASE("agent conf: what is missing or of a wrong form is named") {
    CHECK_FALSE(decode_agent_conf(""));
    CHECK_FALSE(decode_agent_conf("[]"));
    CHECK_FALSE(decode_agent_conf(R"({"sut": "x y"})"));
    const auto whole = encode_agent_conf({*SutName::parse("alpha"), "s", "b", "", "1", {}});
    for (const auto* bad : {R"("keep": 0)", R"("keep": -1)", R"("keep": 4000000000)", R"("keep": "5")"}) {
        auto text = whole;
        text.replace(text.find(R"("keep": 5)"), 9, bad);
        CHECK_FALSE(decode_agent_conf(text));
    }
    const auto missing = decode_agent_conf(R"({"sut": "alpha", "broker": "b"})");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message.find("stack") != std::string::npos);
    AgentConf conf{*SutName::parse("alpha"), "s", "b", "", "1", {}};
    for (const auto* name : {"../x", "a/b", "", "+", "submit"}) {
        conf.rules.household.probes = {{name, "http://x", 1min, 5s}};
        CHECK_FALSE(decode_agent_conf(encode_agent_conf(conf)));
    }
}
