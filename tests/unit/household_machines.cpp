#include <doctest/doctest.h>

#include "core/heartbeat.hpp"
#include "init_steps.hpp"
#include "line_label.hpp"
#include "periodic.hpp"
#include "probe_text.hpp"
#include "service_set.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_start{std::chrono::hours{1}};

InitStep step(const char* name, const char* run = "x") { return {name, {{run}}}; }
Service service(const char* name, const char* command = "x") { return {name, {{command}}}; }
using Names = std::vector<std::string>;

std::string next_of(const InitSteps& steps, SteadyTime now) {
    const auto next = steps.start_due(now);
    return next ? next->name : "";
}

}  // namespace

TEST_CASE("init: in order, each once; done steps are left out") {
    InitSteps steps;
    CHECK(steps.all_done());
    CHECK(steps.verdict() == HealthVerdict{});
    steps.set({{step("a"), true}, {step("b")}, {step("c")}});
    CHECK_FALSE(steps.all_done());
    CHECK(steps.verdict() == HealthVerdict{Health::degraded, "init b is still to be done"});
    CHECK(next_of(steps, k_start) == "b");
    steps.started();
    CHECK(next_of(steps, k_start).empty());
    CHECK_FALSE(steps.due());
    CHECK(steps.verdict() == HealthVerdict{Health::degraded, "init b is running"});
    CHECK(steps.ended(0, k_start)->name == "b");
    CHECK(next_of(steps, k_start) == "c");
    steps.started();
    CHECK(steps.ended(0, k_start)->name == "c");
    CHECK(steps.all_done());
    CHECK_FALSE(steps.ended(0, k_start));  // nothing runs
}

TEST_CASE("init: a failed step is tried again later and later, is unhealthy until it is done, and what follows waits") {
    InitSteps steps;
    steps.set({{step("a")}, {step("b")}});
    auto now = k_start;
    for (const auto wait : {5s, 10s, 20s}) {
        REQUIRE(next_of(steps, now) == "a");
        steps.started();
        CHECK_FALSE(steps.ended(3, now));
        CHECK(steps.due() == now + wait);
        CHECK(next_of(steps, now + wait - 1ms).empty());
        now += wait;
    }
    CHECK(steps.verdict().health == Health::unhealthy);
    CHECK(steps.verdict().why.starts_with("init a failed (3), 3 times: see agent.log"));
    steps.started();
    CHECK(steps.verdict().health == Health::unhealthy);  // running again is no success yet
    CHECK(steps.ended(0, now));
    CHECK(steps.verdict() == HealthVerdict{Health::degraded, "init b is still to be done"});
}

TEST_CASE("init: reinit does one step again, or all, at once; not while one runs") {
    InitSteps steps;
    CHECK(steps.again("").error().message == "this SUT has no init steps");
    steps.set({{step("a"), true}, {step("b"), true}});
    CHECK(steps.again("c").error().message == "no init step 'c': expected one of a, b");
    CHECK(*steps.again("b") == Names{"b"});
    CHECK(next_of(steps, k_start) == "b");
    steps.started();
    CHECK(steps.again("a").error().message == "init b is running: wait for its end");
    CHECK_FALSE(steps.ended(1, k_start));
    CHECK(next_of(steps, k_start).empty());
    CHECK(*steps.again("b") == Names{"b"});
    CHECK(next_of(steps, k_start) == "b");  // a person asks: no backoff
    CHECK(*steps.again("") == Names{"a", "b"});
    CHECK(next_of(steps, k_start) == "a");
}

TEST_CASE("init: a changed conf keeps what is done and what runs, and repeats a step whose command is another") {
    InitSteps steps;
    steps.set({{step("a")}, {step("b")}});
    steps.started();
    CHECK_FALSE(steps.set({{step("new")}, {step("a")}, {step("b")}}));
    CHECK(steps.ended(0, k_start)->name == "a");
    CHECK(next_of(steps, k_start) == "new");
    CHECK_FALSE(steps.set({{step("a"), true}, {step("b", "other")}}));
    CHECK(next_of(steps, k_start) == "b");
    steps.started();
    CHECK(steps.set({{step("a"), true}, {step("b")}}));  // the one that runs is another one
    CHECK_FALSE(steps.ended(0, k_start));
    CHECK(next_of(steps, k_start) == "b");
    steps.set({});
    CHECK(steps.all_done());
}

TEST_CASE("init: a mark stands for one build and one command") {
    const auto one = init_mark("b1", step("a", "x"));
    CHECK(one == init_mark("b1", step("other", "x")));
    CHECK(one != init_mark("b2", step("a", "x")));
    CHECK(one != init_mark("b1", step("a", "y")));
    CHECK(init_mark("b", {"a", {{"x", "yz"}}}) != init_mark("b", {"a", {{"xy", "z"}}}));
    CHECK(init_mark("b", {"a", {{"x", ""}}}) != init_mark("b", {"a", {{"x"}}}));
}

TEST_CASE("services: each on its own, with the command's backoff; a crash loop of one degrades and stops nothing else") {
    ServiceSet set;
    CHECK(set.set({service("a"), service("b")}, false, k_start).empty());
    auto now = k_start;
    CHECK(set.start_due(now) == std::vector<Service>{service("a"), service("b")});
    set.started("a", now);
    set.started("b", now);
    CHECK_FALSE(set.due());
    for (const auto wait : {1s, 2s, 4s, 8s}) {
        set.ended("a", 1, now);
        CHECK(set.due() == now + wait);
        CHECK(set.start_due(now).empty());
        CHECK(set.verdict(now) == HealthVerdict{Health::degraded, "service a ended (1), will be started again"});
        now += wait;
        CHECK(set.start_due(now) == std::vector<Service>{service("a")});
        set.started("a", now);
    }
    set.ended("a", 7, now);
    CHECK(set.verdict(now) == HealthVerdict{Health::degraded, "service a in a crash loop: ended 5 times in 10 min, last with 7"});
    set.hurry(now);
    CHECK(set.start_due(now) == std::vector<Service>{service("a")});
}

TEST_CASE("services: an end with 0 is an end, too") {
    ServiceSet set;
    set.set({service("a")}, false, k_start);
    set.started("a", k_start);
    set.ended("a", 0, k_start);
    CHECK(set.verdict(k_start).why == "service a ended (0), will be started again");
    CHECK(set.due() == k_start + 1s);
}

TEST_CASE("services: a change of the conf touches what it names, and nothing else") {
    ServiceSet set;
    set.set({service("a"), service("b"), service("c")}, false, k_start);
    for (const auto* name : {"a", "b", "c"}) set.started(name, k_start);
    CHECK(set.set({service("a"), service("b", "y"), service("d")}, false, k_start) == Names{"b", "c"});
    CHECK(set.start_due(k_start) == std::vector<Service>{service("d")});
    CHECK(set.set({service("a"), service("b", "z"), service("d")}, false, k_start).empty());  // both are on their way
    set.ended("b", 143, k_start);
    set.ended("c", 143, k_start);
    CHECK(set.start_due(k_start) == std::vector<Service>{service("b", "z"), service("d")});  // at once: it was told to end
    CHECK(set.verdict(k_start) == HealthVerdict{});
    set.started("b", k_start);
    CHECK(set.set({service("a"), service("b", "z"), service("d")}, true, k_start) == Names{"a", "b"});
    set.ended("a", 0, k_start);
    CHECK(set.stop() == Names{"b"});
    set.ended("b", 0, k_start);
    CHECK(set.start_due(k_start + 1h).empty());
    CHECK_FALSE(set.due());
}

TEST_CASE("services: one that comes back while it is leaving is started when it is gone") {
    ServiceSet set;
    set.set({service("a")}, false, k_start);
    set.started("a", k_start);
    CHECK(set.set({}, false, k_start) == Names{"a"});
    CHECK(set.set({service("a")}, false, k_start).empty());
    CHECK(set.start_due(k_start).empty());
    set.ended("a", 143, k_start);
    CHECK(set.start_due(k_start) == std::vector<Service>{service("a")});
}

TEST_CASE("periodic: from start to start, sooner after a failure, never at once, nothing made up for") {
    Periodic probe({10s, {}}, k_start);
    CHECK(probe.start_due(k_start));
    probe.started(k_start);
    CHECK_FALSE(probe.due());
    CHECK_FALSE(probe.start_due(k_start + 1h));
    probe.ended(false, k_start + 3s);
    CHECK(probe.due() == k_start + 10s);
    probe.started(k_start + 10s);
    probe.ended(true, k_start + 55s);  // longer than the period
    CHECK(probe.due() == k_start + 56s);
    Periodic renewal({1h, BackoffPolicy{5s, 10min}}, k_start);
    auto now = k_start;
    for (const auto wait : {5s, 10s, 20s, 40s}) {
        renewal.started(now);
        renewal.ended(false, now);
        CHECK(renewal.due() == now + wait);
        now += wait;
    }
    renewal.started(now);
    renewal.ended(true, now + 1s);
    CHECK(renewal.due() == now + 1h);
    Periodic often({2s, BackoffPolicy{5s, 10min}}, k_start);
    often.started(k_start);
    often.ended(false, k_start);
    CHECK(often.due() == k_start + 2s);  // a failure never makes it later
}

TEST_CASE("probes: what is shown, and what is taken from http-probe") {
    CHECK(probe_text("ok", 210ms) == "state: ok | resp_t: 0.21 sec");
    CHECK(probe_text("error", 0ms, "HTTP 500") == "state: error | resp_t: 0.00 sec | HTTP 500");
    CHECK(probe_text("error", 0ms, "a\nb\xff") == "state: error | resp_t: 0.00 sec | a?b?");
    CHECK(probe_text("error", 0ms, std::string(9999, 'x')).size() < k_probe_text_limit);
    CHECK(accepted_probe_text("state: ok | resp_t: 0.21 sec\n") == "state: ok | resp_t: 0.21 sec");
    for (const std::string bad : {"", "\n", "state: ok | resp_t: 0.21 sec", "state: fine | resp_t: 1 sec\n", "state: ok | resp_t: 1 sec\nmore\n"})
        CHECK(accepted_probe_text(bad).empty());
    CHECK(accepted_probe_text("state: error | resp_t: " + std::string(9999, 'x') + "\n").empty());
}

TEST_CASE("a label stands before whole lines, whatever the chunks") {
    LineLabel label("sshd");
    CHECK(label.pass("one\ntw") == "[sshd] one\n");
    CHECK(label.pass("o\n\nthree") == "[sshd] two\n[sshd] \n");
    CHECK(label.end() == "[sshd] three\n");
    CHECK(label.end().empty());
    LineLabel longer("x");
    auto out = longer.pass(std::string(LineLabel::k_longest * 2 + 1, 'a'));
    out += longer.end();
    CHECK(out.size() == LineLabel::k_longest * 2 + 1 + 3 * 5);
}

TEST_CASE("periodic: what all agents of a machine do falls together, in time, and once each period") {
    const SteadyTime epoch{};
    for (const auto every : {200ms, 1000ms, 5000ms, 5300ms, 60000ms})
        for (auto now = epoch; now < epoch + 3s; now += 37ms) {
            const auto next = agent::next_together(now, every);
            CHECK(next > now);
            CHECK(next <= now + every);
            CHECK(next > now + every - 1s);
            CHECK((next - epoch) % std::min<std::chrono::nanoseconds>(every, 1s) == 0ns);
        }
    CHECK(agent::next_together(epoch + 7s + 3ms, 5s) == epoch + 12s);
    CHECK(agent::next_together(epoch + 12s, 5s) == epoch + 17s);
}

TEST_CASE("a verdict of two has the worse one's reason first") {
    const HealthVerdict ok, sad{Health::degraded, "a"}, bad{Health::unhealthy, "b"};
    CHECK(worst(ok, ok) == ok);
    CHECK(worst(ok, sad) == sad);
    CHECK(worst(sad, bad) == HealthVerdict{Health::unhealthy, "b; a"});
    CHECK(worst(bad, sad) == worst(sad, bad));
    CHECK(restart_helps("command in a crash loop"));
    CHECK_FALSE(restart_helps("init flash failed (3)"));
    CHECK_FALSE(restart_helps("renew token failed (3)"));
}
