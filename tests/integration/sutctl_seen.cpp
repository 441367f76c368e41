// The fleet as sutctl shows it, by a real supervisor and agent; the supervisor has no engine.

#include <doctest/doctest.h>

#include <csignal>

#include "lab.hpp"
#include "sutctl_run.hpp"

using namespace sutfleet;
using test::has;
using test::sutctl;

namespace {

constexpr auto k_report =
    R"({"sut":"alpha","history":[{"at":"2026-01-31T11:00:00.000Z","what":"restart","why":"it hung","result":"ok"}],"evidence":{"at":"2026-01-31T10:59:59.000Z","why":"it hung","output":"its last line"}})";

}  // namespace

TEST_CASE("sutctl describe: an agent, its conf with origins, and the history of an earlier supervisor") {
    test::Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();
    CHECK(sutctl(url, "describe nosuch").exit == 4);
    CHECK(sutctl(url, "describe No_Such").exit == 2);
    CHECK(sutctl("mqtt://127.0.0.1:1", "describe alpha").exit == 3);
    REQUIRE(lab.says("agent", "ok"));
    const auto without = sutctl(url, "describe alpha");
    CHECK(without.exit == 0);
    CHECK(has(without.out, "the supervisor is not there"));

    lab.publish("fleet/sut/alpha", k_report, true);
    const test::BlindSupervisor supervisor(SUPERVISOR, url, {{"alpha.conf", "description: a board\ntimeouts:\n  job: 90s\n"}});
    REQUIRE(test::eventually([&] { return has(sutctl(url, "describe alpha").out, "alpha.conf:3"); }));
    const auto full = sutctl(url, "describe alpha");
    CAPTURE(full.out);
    CHECK(full.exit == 0);
    CHECK(has(full.out, "timeouts.job"));
    CHECK(has(full.out, "a board"));
    CHECK(has(full.out, "it hung"));
    CHECK(has(full.out, "| its last line"));
    CHECK(has(sutctl(url, "describe alpha --json").out, R"({"key":"timeouts.job","value":"90s","origin":"alpha.conf:3"})"));
    CHECK(has(sutctl(url, "ps").out, "WHY"));
    CHECK(has(sutctl(url, "ps").out, "a board"));
    CHECK(sutctl(url, "ps -q").out == "alpha\n");
    const auto past = sutctl(url, "events");
    CHECK(past.exit == 0);
    CHECK(has(past.out, "2026-01-31T11:00:00.000Z  alpha  restart  it hung  ok\n"));
    CHECK(sutctl(url, "events bravo").out.empty());
}

TEST_CASE("sutctl ps --watch shows each change once and ends with 130") {
    test::Lab lab(AGENT_ENTRY);
    REQUIRE(lab.says("agent", "ok"));
    test::Program watching(test::sutctl_argv("ps --watch --json"), test::sutctl_environment(lab.broker.url()));
    REQUIRE(watching.says(R"("agent":"ok")"));
    lab.submit("sleep 60");
    REQUIRE(watching.says(R"("state":"busy")"));
    lab.agent->stop(SIGTERM);
    REQUIRE(watching.says(R"("agent":"offline")"));
    CHECK(watching.end(SIGINT) == 130);
}

TEST_CASE("sutctl ps --watch: who was removed while the broker was away is not shown for ever") {
    test::Lab lab(AGENT_ENTRY);
    lab.publish("fleet/sut/removed", R"({"sut":"removed"})", true);
    test::Program watching(test::sutctl_argv("ps --watch"), test::sutctl_environment(lab.broker.url()));
    REQUIRE(watching.says("removed"));
    lab.broker.lose();
    lab.broker.start();
    const auto last_table = [&] {
        const auto all = watching.out();
        const auto head = all.rfind("HEALTH");
        return head == std::string::npos ? std::string() : all.substr(head);
    };
    CHECK(test::eventually([&] { return has(last_table(), "alpha") && !has(last_table(), "removed"); }, std::chrono::seconds{60}));
    CHECK(watching.end(SIGINT) == 130);
}

TEST_CASE("sutctl events -f: what comes, of one SUT or of all, over a broker that goes and comes") {
    test::Lab lab(AGENT_ENTRY);
    const auto environment = test::sutctl_environment(lab.broker.url());
    test::Program all(test::sutctl_argv("events -f"), environment), one(test::sutctl_argv("events -f --json bravo"), environment);
    const auto publish = [&](const std::string& sut, const std::string& reason) {
        lab.publish("fleet/events", R"({"at":"2026-01-31T12:00:00.000Z","sut":")" + sut + R"(","action":"restart","reason":")" +
                                        reason + R"(","result":"ok","error":null})");
    };
    // Whether they listen already is seen only by what they say.
    REQUIRE(test::eventually([&] {
        publish("alpha", "first");
        publish("bravo", "first");
        return has(all.out(), "first") && has(one.out(), "first");
    }));
    CHECK_FALSE(has(one.out(), "alpha"));
    lab.broker.stop();
    lab.broker.start();
    REQUIRE(all.says("the broker is back"));
    REQUIRE(test::eventually([&] {
        publish("bravo", "second");
        return has(all.out(), "bravo  restart  second  ok") && has(one.out(), "second");
    }));
    CHECK(all.end(SIGINT) == 130);
    CHECK(one.end(SIGTERM) == 130);
}
