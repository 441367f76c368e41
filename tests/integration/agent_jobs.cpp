// Jobs on a real agent-entry and a real broker.
#include <doctest/doctest.h>

#include <csignal>

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
