// The submit policy where it counts: on a real agent, for a job that comes, one that waits, and one of a queue.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "core/topics.hpp"
#include "lab.hpp"
#include "sutctl_run.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::Lab;

namespace {

AgentRules only_named() {
    AgentRules rules;
    rules.submit.shell = false;
    rules.submit.commands["show"] = {{"printf", "<%s>\n", "{what}"}, {{"what", {}}}};
    CommandParameter seconds;
    seconds.type = CommandParameter::Type::number;
    rules.submit.commands["wait"] = {{"sleep", "{seconds}"}, {{"seconds", seconds}}};
    rules.phases["setup"] = Command{{"/bin/sh", "-c", "echo \"preload=$LD_PRELOAD a=$A\""}};
    rules.phases["test"] = Command{{"/bin/sh", "-c", "echo the conf\\'s own test phase"}};
    return rules;
}

}  // namespace

TEST_CASE("submit policy: only the named commands run, each value one argument; all else is refused by name") {
    Lab lab(AGENT_ENTRY, only_named());
    CHECK(has(lab.run("j1", R"j({"id":"j1","command":"show","arguments":{"what":"a b; touch /tmp/x $(id) \"q\""}})j"), "SUCCEEDED"));
    CHECK(lab.says("output", "<a b; touch /tmp/x $(id) \"q\">"));
    CHECK(eventually([&] { return std::ranges::any_of(lab.all("output"), [](const auto& text) { return has(text, "preload= a="); }); }));
    CHECK(has(lab.get("job/j1"), R"("setup":{"exit":0)"));
    lab.submit("show what=plain");
    CHECK(lab.says("output", "<plain>"));
    for (const auto& line : lab.all("output")) CHECK_FALSE(has(line, "own test phase"));
    CHECK(has(lab.ask("touch /tmp/sutfleet-pwned"), "rejected: 'touch' is not allowed: expected one of show, wait"));
    CHECK(has(lab.ask(R"j({"id":"j2","command":"show what=x","env":{"LD_PRELOAD":"/x.so"}})j"), "rejected: 'env' is not allowed"));
    CHECK(has(lab.ask(R"j({"id":"j3","command":"show what=x","provision_data":{"url":"x"}})j"), "rejected: 'provision_data' is not allowed"));
    CHECK(has(lab.ask(R"j({"test_data":{"test_cmds":"show what=x"}})j"), "rejected: 'test_data' is not allowed"));
    CHECK(has(lab.ask("show"), "rejected: show: 'what' is missing: expected a text"));
}

TEST_CASE("submit policy: a conf that forbids what waits, or is about to run again, ends it; its cleanup is the conf's own") {
    AgentRules open = only_named();
    open.submit.shell = true;
    open.timeouts.stop = 500ms;
    open.phases.erase("test");
    open.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo \"cleanup a=$A\""}};
    Lab lab(AGENT_ENTRY, open);
    lab.submit(R"j({"id":"runs","command":"echo up; while ! [ -e go ]; do sleep 0.05; done; exit 7","env":{"A":"evil"},"retries":{"max":3}})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"waits","command":"echo never"})j");
    lab.submit(R"j({"id":"named","command":"show","arguments":{"what":"still"}})j");
    REQUIRE(lab.says("job/named", "QUEUED"));
    auto closed = open;
    closed.submit.shell = false;
    lab.agent->deliver(closed);
    REQUIRE(eventually([&] { return has(lab.ask("echo no"), "rejected: 'echo' is not allowed"); }));
    std::ofstream(lab.agent->folder() + "/state/jobs/runs/go") << "go";
    CHECK(lab.says("job/waits", "REJECTED"));
    CHECK(has(lab.get("job/waits"), "'echo' is not allowed"));
    CHECK(lab.says("job/named", "SUCCEEDED"));
    CHECK(lab.says("job/runs", "FAILED"));
    CHECK(has(lab.get("job/runs"), "\"attempt\":2"));
    // Its cleanup's line may be a message of its own, and the newest.
    CHECK(eventually([&] { return std::ranges::any_of(lab.all("output"), [](const auto& text) { return has(text, "<still>"); }); }));
    for (const auto& line : lab.all("output")) CHECK_FALSE(has(line, "never"));
}

TEST_CASE("submit policy: the cleanup of a job that was lost before the conf forbade it gets nothing of its environment") {
    AgentRules open;
    open.timeouts.stop = 500ms;
    open.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo \"cleanup a=$A\""}};
    Lab lab(AGENT_ENTRY, open);
    lab.submit(R"j({"id":"lost","command":"echo up; sleep 1000","env":{"A":"evil"}})j");
    REQUIRE(lab.says("output", "up"));
    lab.agent->stop(SIGKILL);
    auto closed = open;
    closed.submit.shell = false;
    lab.agent->deliver(closed);
    lab.agent->start();
    CHECK(lab.says("output", "cleanup a="));
    for (const auto& line : lab.all("output")) CHECK_FALSE(has(line, "evil"));
    CHECK(lab.says("job/lost", "LOST"));
}

TEST_CASE("what a submit says of itself is in its record") {
    Lab lab(AGENT_ENTRY);
    CHECK_FALSE(has(lab.run("anonymous", R"j({"id":"anonymous","command":"true"})j"), "submitted_by"));
    auto environment = test::sutctl_environment(lab.broker.url());
    environment.emplace_back("LOGNAME", "ann\x1b[2J");
    const auto ran = test::run(test::sutctl_argv("submit alpha --wait true"), environment);
    CHECK_MESSAGE(ran.exit == 0, ran.out);
    CHECK(lab.says("last_job", "-"));
    const auto record = lab.get("job/" + lab.get("last_job"));
    CHECK_MESSAGE(has(record, R"("submitted_by":{"name":"ann [2J@)"), record);
}

TEST_CASE("submit policy: sutctl says what is allowed when a job is refused") {
    Lab lab(AGENT_ENTRY, only_named());
    REQUIRE(lab.says("submit_status", "ready"));
    const auto refused = test::sutctl(lab.broker.url(), "submit alpha reboot");
    CHECK(refused.exit == 4);
    CHECK_MESSAGE(has(refused.out, "alpha rejected: 'reboot' is not allowed: expected one of show, wait"), refused.out);
    const auto taken = test::sutctl(lab.broker.url(), "submit alpha --wait show what=x1");
    CHECK(taken.exit == 0);
    CHECK_MESSAGE(has(taken.out, "<x1>"), taken.out);
}

TEST_CASE("an answer goes to no topic where it would be a request or a report; a command is small") {
    Lab lab(AGENT_ENTRY);
    REQUIRE(lab.says("submit_status", "ready"));
    lab.publish("alpha/cmd/cancel", std::string(k_command_limit + 1, 'x'));
    CHECK(lab.says("res/cancel", "expected at most 4096 bytes"));
}
