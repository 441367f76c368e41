// Jobs on a real agent-entry and a real broker.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "lab.hpp"
#include "sys/process_table.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::Lab;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool gone(const std::string& id) {
    return eventually([&] { return sys::processes_with("SUTFLEET_JOB_ID=" + id).empty(); });
}

AgentRules quick_stop() {
    AgentRules rules;
    rules.timeouts.stop = 500ms;
    return rules;
}

}  // namespace

TEST_CASE("nothing of a job survives it, wherever it went") {
    Lab lab(AGENT_ENTRY, quick_stop());
    CHECK(has(lab.run("daemon", R"j({"id":"daemon","command":"(setsid sh -c 'sleep 1000' >/dev/null 2>&1 &); echo left"})j"), "SUCCEEDED"));
    CHECK(gone("daemon"));
    lab.submit(R"j({"id":"stubborn","command":"(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' >/dev/null 2>&1 &) ; trap '' TERM; echo up; while :; do sleep 0.1; done"})j");
    REQUIRE(lab.says("output", "up"));
    lab.publish("alpha/cmd/cancel", "stubborn");
    CHECK(lab.says("job/stubborn", "CANCELED"));
    CHECK(gone("stubborn"));
    CHECK(has(lab.run("late", R"j({"id":"late","timeout":"300ms","command":"setsid sleep 1000"})j"), "TIMED_OUT"));
    CHECK(gone("late"));
}

TEST_CASE("a job that its agent's death cuts off is LOST, and nothing of it runs on") {
    Lab lab(AGENT_ENTRY, quick_stop());
    lab.submit(R"j({"id":"cut","command":"echo up; (setsid sleep 1000 &); sleep 1000"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":"true"})j");
    REQUIRE(lab.says("job/next", "QUEUED"));
    lab.restart_agent(SIGKILL);
    CHECK(lab.says("job/cut", "LOST"));
    CHECK(lab.says("job/next", "SUCCEEDED"));
    CHECK(gone("cut"));
}

TEST_CASE("a failed attempt is followed by another one, and only the last is final") {
    Lab lab(AGENT_ENTRY);
    const auto record = lab.run("again", R"j({"id":"again","command":"echo x >> tries; exit 7","retries":{"max":2,"on":[7]}})j");
    CHECK(has(record, "\"FAILED\""));
    CHECK(has(record, "\"attempt\":3"));
    for (const auto& shown : lab.all("job/again")) CHECK((!has(shown, "FAILED") || has(shown, "\"attempt\":3")));
    CHECK(has(lab.run("count", R"j({"id":"count","command":"test $(wc -l < ../again/tries) = 3"})j"), "SUCCEEDED"));
}

TEST_CASE("a lost job that says so runs again, after its cleanup") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleaned >> trace"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"lost","command":"echo run >> trace; echo up; test $(grep -c run trace) = 2 || sleep 1000","retries":{"max":1,"on":["lost"]}})j");
    REQUIRE(lab.says("output", "up"));
    lab.restart_agent(SIGKILL);
    CHECK(lab.says("job/lost", "SUCCEEDED"));
    CHECK(has(lab.get("job/lost"), "\"attempt\":2"));
    CHECK(has(lab.run("look", R"j({"id":"look","command":"test \"$(head -3 ../lost/trace | tr '\\n' ' ')\" = 'run cleaned run '"})j"), "SUCCEEDED"));
}

TEST_CASE("a cleanup that a stop or a second death cuts off is made up for at the next start") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleans; [ -e ../go ] || sleep 1000; echo cleaned"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"cut","command":"echo up; sleep 1000"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":"touch ../go; echo next"})j");
    REQUIRE(lab.says("job/next", "QUEUED"));
    lab.restart_agent(SIGTERM);
    REQUIRE(lab.says("output", "cleans"));
    CHECK(lab.says("job/cut", "LOST"));
    lab.restart_agent(SIGKILL);
    REQUIRE(eventually([&] { return std::ranges::count(lab.all("output"), "cleans") == 2; }));
    lab.restart_agent(SIGTERM);
    REQUIRE(eventually([&] { return std::ranges::count(lab.all("output"), "cleans") == 3; }));
    CHECK(has(lab.get("job/next"), "QUEUED"));
    CHECK(has(lab.get("job/cut"), "cleanup_due"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    lab.restart_agent(SIGTERM);
    CHECK(lab.says("job/next", "SUCCEEDED"));
    CHECK(!has(lab.get("job/cut"), "cleanup_due"));
    CHECK(has(lab.get("job/cut"), "LOST"));
}

TEST_CASE("a command that waited for its agent is answered") {
    Lab lab(AGENT_ENTRY);
    lab.agent->signal(SIGKILL);
    REQUIRE(eventually([&] { return lab.agent->ended().has_value(); }));
    lab.publish("alpha/cmd/drain", "");
    lab.agent->start();
    CHECK(lab.says("res/drain", "takes no more jobs"));
    CHECK(lab.says("state", "draining"));
}

TEST_CASE("maintenance and a drain last until resume, through the agent's deaths") {
    Lab lab(AGENT_ENTRY, quick_stop());
    lab.submit(R"j({"id":"broken","command":"echo up; while [ ! -e ../go ]; do sleep 0.05; done; exit 46"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":"true"})j");
    REQUIRE(lab.says("job/next", "QUEUED"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    REQUIRE(lab.says("state", "needs a person"));
    const auto comes_back = [&](const char* state) {
        const auto before = lab.get("state");
        lab.restart_agent(SIGKILL);
        return eventually([&] { return lab.get("state") != before; }) && lab.says("state", state);
    };
    CHECK(comes_back("needs a person"));
    CHECK(has(lab.ask(R"j({"id":"refused","command":"true"})j"), "rejected: maintenance: job broken ended with 46"));
    CHECK(has(lab.get("job/next"), "QUEUED"));
    lab.publish("alpha/cmd/resume", "");
    CHECK(lab.says("job/next", "SUCCEEDED"));
    lab.publish("alpha/cmd/drain", "");
    REQUIRE(lab.says("state", "draining"));
    CHECK(comes_back("draining"));
    lab.publish("alpha/cmd/resume", "");
    REQUIRE(lab.says("state", "ready"));
    CHECK(comes_back("ready"));
}

TEST_CASE("a job that waits for its next attempt is canceled while the last one is cleaned up after") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleans; while [ ! -e ../go ]; do sleep 0.05; done"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"cut","command":"echo up; sleep 1000","retries":{"max":1,"on":["lost"]}})j");
    REQUIRE(lab.says("output", "up"));
    lab.restart_agent(SIGTERM);
    REQUIRE(lab.says("output", "cleans"));
    lab.publish("alpha/cmd/cancel", "cut");
    REQUIRE(lab.says("job/cut", "CANCELED"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    CHECK(lab.says("state", "ready"));
    CHECK(has(lab.get("job/cut"), "CANCELED"));
    CHECK(has(lab.run("next", R"j({"id":"next","command":"true"})j"), "SUCCEEDED"));
}

TEST_CASE("the higher priority starts first; what is not started in time expires") {
    Lab lab(AGENT_ENTRY);
    lab.submit(R"j({"id":"first","command":"echo up; while [ ! -e go ]; do sleep 0.05; done"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"low","command":"echo low >> ../order","priority":-1})j");
    lab.submit(R"j({"id":"plain","command":"echo plain >> ../order"})j");
    lab.submit(R"j({"id":"high","command":"echo high >> ../order","priority":1})j");
    lab.submit(R"j({"id":"never","command":"echo never >> ../order","priority":-2,"expires":"100ms"})j");
    CHECK(lab.says("job/high", "\"position\":1"));
    CHECK(lab.says("job/low", "\"position\":3"));
    CHECK(lab.says("job/never", "EXPIRED"));
    lab.publish("alpha/cmd/cancel", "first");
    CHECK(lab.says("job/low", "SUCCEEDED"));
    CHECK(has(lab.run("look", R"j({"id":"look","command":"test \"$(tr '\\n' ' ' < ../order)\" = 'high plain low '"})j"), "SUCCEEDED"));
}

TEST_CASE("a requester with a response topic gets its own answer, and the queue an estimate") {
    Lab lab(AGENT_ENTRY);
    CHECK(has(lab.run("ran", R"j({"id":"ran","command":"sleep 0.3"})j"), "SUCCEEDED"));
    const auto taken = lab.ask(R"j({"id":"long","command":"sleep 1000"})j");
    CHECK(has(taken, "\"status\":\"ok\""));
    CHECK(has(taken, "\"id\":\"long\""));
    CHECK(has(lab.ask(R"j({"id":"waits","command":"true"})j"), "\"position\":1"));
    CHECK(lab.says("job/waits", "\"estimate\":0.3"));
    CHECK(has(lab.ask(R"j({"id":"long","command":"other"})j"), "rejected: id used: long"));
    CHECK(has(lab.ask(R"j({"comand":"x"})j"), "unknown key 'comand'"));
    lab.publish("alpha/cmd/cancel", "long");
    CHECK(lab.says("job/waits", "SUCCEEDED"));
}
