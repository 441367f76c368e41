#include <doctest/doctest.h>

#include "reconcile.hpp"
#include "restart_record.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_now{std::chrono::hours{1}};
const SutName k_alpha = *SutName::parse("alpha");

Wanted wanted(Wanted::Kind kind = Wanted::Kind::run) {
    Wanted out;
    out.kind = kind;
    out.config_hash = "shape";
    out.delivery_hash = "files";
    return out;
}

FoundContainer container(ContainerStatus status, std::string hash = "shape") {
    FoundContainer out;
    out.id = "1234";
    out.sut = "alpha";
    out.config_hash = std::move(hash);
    out.status = status;
    if (status == ContainerStatus::exited) out.exit_code = 137;
    return out;
}

/// A healthy agent that has run for half an hour, heard a second ago.
History healthy() {
    History out;
    out.delivered_hash = "files";
    out.agent_says = "ok";
    out.running_since = k_now - 30min;
    out.last_beat = k_now - 1s;
    return out;
}

struct World {
    Observation observation;
    World() { observation.link_up_since = k_now - 40min; }
    World& want(Wanted one) { return observation.wanted.insert_or_assign(k_alpha, one), *this; }
    World& find(FoundContainer one) { return observation.found.insert_or_assign(k_alpha, std::move(one)), *this; }
    World& know(History one) { return observation.history.insert_or_assign(k_alpha, std::move(one)), *this; }
    [[nodiscard]] std::string plan() const { return to_text(reconcile(observation, k_now)); }
};

History with(void (*change)(History&)) {
    auto out = healthy();
    change(out);
    return out;
}

}  // namespace

TEST_CASE("the plan of one agent") {
    using Status = ContainerStatus;
    struct Row {
        const char* name;
        World world;
        const char* plan;
    };
    const Row rows[] = {
        {"nothing there", World().want(wanted()), "create alpha: no container\n"},
        {"converged", World().want(wanted()).find(container(Status::running)).know(healthy()), "nothing to do\n"},
        {"killed", World().want(wanted()).find(container(Status::exited)).know(healthy()),
         "start alpha: the container ended with 137\n"},
        {"could not be started once",
         World().want(wanted()).find(container(Status::exited)).know(with([](History& h) { h.failures = 1; })),
         "start alpha: the container ended with 137\n"},
        {"could not be started again and again",
         World().want(wanted()).find(container(Status::exited)).know(with([](History& h) { h.failures = 2; })),
         "recreate alpha: it could not be started, 2 times\n"},
        {"paused", World().want(wanted()).find(container(Status::paused)).know(healthy()), "hold alpha: paused\n"},
        {"dead", World().want(wanted()).find(container(Status::dead)).know(healthy()), "recreate alpha: the container is dead\n"},
        {"dead, conf broken", World().want(wanted(Wanted::Kind::broken)).find(container(Status::dead)).know(healthy()),
         "hold alpha: dead, and the conf has an error\n"},
        {"is being removed, conf broken", World().want(wanted(Wanted::Kind::broken)).find(container(Status::removing)).know(healthy()),
         "nothing to do\n"},
        {"is being removed, conf gone", World().find(container(Status::removing)).know(healthy()), "nothing to do\n"},
        {"reshaped", World().want(wanted()).find(container(Status::running, "old")).know(healthy()),
         "recreate alpha: the conf shapes another container\n"},
        {"reshaped, a job runs",
         World().want(wanted()).find(container(Status::running, "old")).know(with([](History& h) { h.job_runs = true; })),
         "hold alpha: the conf shapes another container; waits for the running job\n"},
        {"reshaped, and it is known by what",
         World().want(wanted()).find(container(Status::running, "old")).know(with([](History& h) { h.changed = {"image", "timeouts.job"}; })),
         "recreate alpha: image, timeouts.job changed: it shapes another container\n"},
        {"much changed",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.delivered_hash = "x";
             h.changed = {"a", "b", "c", "d", "e", "f", "g"};
         })),
         "deliver alpha: a, b, c, d, e and 2 more changed\n"},
        {"a companion changed",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) { h.delivered_hash = "x"; })),
         "deliver alpha: the conf or a companion changed\n"},
        {"a new credential was asked for",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) { h.delivered_hash = k_old_credential; })),
         "deliver alpha: it gets a new credential\n"},
        {"conf gone", World().find(container(Status::running)).know(healthy()), "retire alpha: its conf is gone\n"},
        {"conf gone, a job runs",
         World().find(container(Status::running)).know(with([](History& h) { h.job_runs = true; })),
         "hold alpha: its conf is gone; waits for the running job\n"},
        {"conf gone, paused amid a job",
         World().find(container(Status::paused)).know(with([](History& h) { h.job_runs = true; })),
         "hold alpha: its conf is gone; waits for the running job\n"},
        {"parked", World().want(wanted(Wanted::Kind::parked)).find(container(Status::running)).know(healthy()),
         "park alpha: enabled: false\n"},
        {"conf broken, agent runs",
         World().want(wanted(Wanted::Kind::broken)).find(container(Status::running, "old")).know(healthy()), "nothing to do\n"},
        {"conf broken, no agent", World().want(wanted(Wanted::Kind::broken)), "nothing to do\n"},
        {"its init failed",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) { h.agent_says = "unhealthy: init flash failed (3): see agent.log"; })),
         "hold alpha: unhealthy: init flash failed (3): see agent.log; a restart would not help\n"},
        {"its renewal failed, says the engine alone",
         World().want(wanted()).find([] {
             auto found = container(Status::running);
             found.health = EngineHealth::unhealthy;
             found.health_log = "renew token failed (4): see agent.log";
             return found;
         }()).know(healthy()),
         "hold alpha: unhealthy: renew token failed (4): see agent.log; a restart would not help\n"},
        {"its init failed, and it is silent: it hangs",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.agent_says = "unhealthy: init flash failed (3)";
             h.last_beat = k_now - 1h;
             h.probe = History::Probe::failed;
             h.probed_at = k_now;
             h.probe_said = "the main loop has not moved for 25 s";
         })),
         "restart alpha: unhealthy: the main loop has not moved for 25 s\n"},
        {"its init failed, and the broker cannot be reached from it",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.agent_says = "offline";
             h.last_beat = k_now - 1h;
             h.probe = History::Probe::failed;
             h.probed_at = k_now;
             h.probe_said = "init flash failed (3): see agent.log; broker away";
         })),
         "nothing to do\n"},
        {"busy", World().want(wanted()).know(with([](History& h) { h.busy = true; })), "nothing to do\n"},
        {"failed a moment ago", World().want(wanted()).know(with([](History& h) { h.not_before = k_now + 1s; })), "nothing to do\n"},
        {"silent",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) { h.last_beat = k_now - 20s; })),
         "probe alpha: no heartbeat on the bus for 20 s\n"},
        {"no room for logs: a restart would make none",
         World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.agent_says = "unhealthy: no room for logs, make some";
             h.probe = History::Probe::failed;
             h.probed_at = k_now - 1s;
         })),
         "hold alpha: unhealthy: no room for logs, make some; a restart would not help\n"},
        {"unpaused a moment ago: what is old proves nothing",
         World().want(wanted()).find([] {
             auto out = container(Status::running);
             out.health = EngineHealth::unhealthy;
             return out;
         }()).know(with([](History& h) {
             h.last_beat = k_now - 30s;
             h.running_since = k_now - 1s;
         })),
         "nothing to do\n"},
        {"silent, but its probe was fine a second ago", World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.last_beat = k_now - 25s;
             h.probe = History::Probe::fine;
             h.probed_at = k_now - 1s;
         })),
         "nothing to do\n"},
        {"silent, its probe failed", World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.last_beat = k_now - 25s;
             h.job_runs = true;  // a hung agent's job is lost anyway
             h.probe = History::Probe::failed;
             h.probe_said = "no heartbeat for 25 s";
             h.probed_at = k_now - 1s;
         })),
         "restart alpha: unhealthy: no heartbeat for 25 s\n"},
        {"silent, its probe failed before that", World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.last_beat = k_now - 20s;
             h.probe = History::Probe::failed;
             h.probed_at = k_now - 1s;
         })),
         "probe alpha: no heartbeat on the bus for 20 s\n"},
        {"says unhealthy, a job runs", World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.agent_says = "unhealthy: command in a crash loop";
             h.job_runs = true;
         })),
         "hold alpha: unhealthy: command in a crash loop; waits for the running job\n"},
        {"quarantined", World().want(wanted()).find(container(Status::exited)).know(with([](History& h) { h.quarantined = true; })),
         "hold alpha: quarantined: 5 restarts within 30 min; release by resume\n"},
        {"restarted 5 s ago",
         World().want(wanted()).find(container(Status::exited)).know(with([](History& h) { h.restarts = {k_now - 5s}; })),
         "hold alpha: restarted 1 times within 30 min; waits\n"},
        {"ended with the engine, whatever its restarts",
         World().want(wanted()).find(container(Status::exited)).know(with([](History& h) {
             h.restarts = {k_now - 5s};
             h.ended_unseen = true;
         })),
         "start alpha: it ended while the engine or the supervisor was away\n"},
        {"a new credential, and no image to deliver it with", World().want(wanted()).find(container(Status::running)).know(with([](History& h) {
             h.delivered_hash = k_old_credential;
             h.image = ImageWait{"image lab/a:1 is built", std::nullopt};
         })),
         "hold alpha: image lab/a:1 is built\n"},
        {"dead, and no image to make another of", World().want(wanted()).find(container(Status::dead)).know(with([](History& h) {
             h.image = ImageWait{"image lab/a:1 is built", std::nullopt};
         })),
         "hold alpha: image lab/a:1 is built\n"},
        {"cannot be started, and no image to make another of", World().want(wanted()).find(container(Status::exited)).know(with([](History& h) {
             h.failures = 2;
             h.image = ImageWait{"image lab/a:1 is built", std::nullopt};
         })),
         "hold alpha: image lab/a:1 is built\n"},
        {"restarted 10 s and a tenth ago",
         World().want(wanted()).find(container(Status::exited)).know(with([](History& h) { h.restarts = {k_now - 11s}; })),
         "start alpha: the container ended with 137\n"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        CHECK(row.world.plan() == row.plan);
    }
}

TEST_CASE("silence means nothing while our own link is young") {
    World world;
    world.want(wanted()).find(container(ContainerStatus::running)).know(with([](History& h) { h.last_beat = k_now - 5min; }));
    world.observation.link_up_since = k_now - 29s;
    CHECK(world.plan() == "nothing to do\n");
    world.observation.link_up_since = k_now - 30s;
    CHECK(world.plan() == "probe alpha: no heartbeat on the bus for 20 s\n");
    world.observation.link_up_since.reset();
    CHECK(world.plan() == "nothing to do\n");
}

TEST_CASE("an emptied folder does not empty the lab") {
    Observation observation;
    for (const auto* name : {"a1", "a2", "a3", "a4"}) {
        const auto sut = *SutName::parse(name);
        observation.found.insert_or_assign(sut, container(ContainerStatus::running));
    }
    observation.fleet_before = 4;
    CHECK(reconcile(observation, k_now).actions.empty());
    CHECK(reconcile(observation, k_now).holds.size() == 4);
    observation.removals_released = true;
    CHECK(reconcile(observation, k_now).actions.size() == 4);
    observation.removals_released = false;
    observation.wanted.insert_or_assign(*SutName::parse("a1"), wanted(Wanted::Kind::broken));
    observation.wanted.insert_or_assign(*SutName::parse("a2"), wanted(Wanted::Kind::broken));
    CHECK(reconcile(observation, k_now).actions.size() == 2);  // half of it is not more than half
    observation.found.erase(*SutName::parse("a3"));
    observation.wanted.erase(*SutName::parse("a2"));
    CHECK(reconcile(observation, k_now).actions.empty());  // with the one that just went it is
}

TEST_CASE("what waits for a job keeps the agent from the next one, and says so again and again") {
    const auto old = container(ContainerStatus::running, "old");
    auto history = healthy();
    history.job_runs = true;
    const auto parked = wanted(Wanted::Kind::parked), run = wanted();
    for (const auto* want : {&run, &parked, static_cast<const Wanted*>(nullptr)}) {
        const auto decision = decide(k_alpha, want, &old, history, {}, k_now - 40min, k_now);
        CHECK(decision.for_job);
        CHECK(decision.wake_at == k_now + k_no_job_again);
    }
    static_assert(k_no_job_again < k_no_job_for);
    history.job_runs = false;
    CHECK_FALSE(decide(k_alpha, &run, &old, history, {}, k_now - 40min, k_now).for_job);
}

TEST_CASE("restarts and quarantine outlive the supervisor, also over a change of the clock") {
    const Moment now{k_now, WallTime(1000h)};
    History before, after;
    CHECK(encode_restarts(before, now).empty());
    before.restarts = {k_now - 40min, k_now - 10min, k_now - 1min};
    before.quarantined = true;
    const auto text = encode_restarts(before, now);
    decode_restarts(text, after, {k_now + 5min, WallTime(1000h + 5min)});
    CHECK(after.quarantined);
    CHECK(after.restarts == std::vector{k_now - 10min, k_now - 1min});
    History set_back;
    decode_restarts(text + "nonsense\n\n2026-", set_back, {k_now, WallTime(999h)});
    CHECK(set_back.quarantined);
    CHECK(set_back.restarts.empty());
}

TEST_CASE("an action that failed is what its SUT waits for") {
    const auto run = wanted();
    auto history = healthy();
    history.failures = 1;
    history.failure = "create failed: network missing";
    history.not_before = k_now + 3s;
    const auto decision = decide(k_alpha, &run, nullptr, history, {}, k_now - 40min, k_now);
    CHECK(decision.hold == "create failed: network missing; it is tried again");
    CHECK(decision.wake_at == k_now + 3s);
}

TEST_CASE("whether a job runs is known when a connection has lasted; without one, of those that we have heard or made") {
    auto found = container(ContainerStatus::running, "old");
    auto history = healthy();
    const auto parked = wanted(Wanted::Kind::parked), run = wanted();
    for (const auto* want : {&run, &parked, static_cast<const Wanted*>(nullptr)}) {
        const auto at = [&](std::optional<SteadyTime> link_up_since) { return decide(k_alpha, want, &found, history, {}, link_up_since, k_now); };
        for (const bool from_before : {false, true})
            for (const bool heard : {false, true}) {
                history.from_before = from_before;
                history.jobs_heard = heard;
                CHECK(at(std::nullopt).action.has_value() == (!from_before || heard));
                CHECK(at(k_now - 19s).hold.ends_with("; waits to hear from the broker whether a job runs"));
                CHECK(at(k_now - 19s).wake_at == k_now + 1s);
                CHECK(at(k_now - k_agents_are_back).action);
            }
    }
    // A doubt of the engine ends none either.
    found = container(ContainerStatus::running);
    found.health = EngineHealth::unhealthy;
    history.jobs_heard = false;
    CHECK(decide(k_alpha, &run, &found, history, {}, std::nullopt, k_now).hold.ends_with("; waits to hear from the broker whether a job runs"));
    history.from_before = false;
    CHECK(decide(k_alpha, &run, &found, history, {}, std::nullopt, k_now).action);
    history.from_before = true;
    found.status = ContainerStatus::exited;
    CHECK(decide(k_alpha, nullptr, &found, history, {}, std::nullopt, k_now).action);
    found.status = ContainerStatus::running;
    history.asked = {Asked::What::restart, true};
    CHECK(decide(k_alpha, nullptr, &found, history, {}, std::nullopt, k_now).action);  // --now
}
