// Properties of the supervisor's one decision, over generated worlds.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <set>

#include "reconcile.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_now{std::chrono::hours{5}};
using Status = ContainerStatus;

SutName name_of(int number) { return *SutName::parse("sut" + std::to_string(number)); }

rc::Gen<std::string> hash() { return rc::gen::elementOf(std::vector<std::string>{"a", "b"}); }

Wanted any_wanted() {
    Wanted out;
    out.kind = *rc::gen::elementOf(std::vector{Wanted::Kind::run, Wanted::Kind::run, Wanted::Kind::parked, Wanted::Kind::broken});
    out.config_hash = *hash();
    out.delivery_hash = *hash();
    out.restart_on_unhealthy = *rc::gen::arbitrary<bool>();
    return out;
}

FoundContainer any_found(const SutName& sut) {
    FoundContainer out;
    out.id = out.sut = sut.str();
    out.config_hash = *hash();
    out.status = *rc::gen::elementOf(std::vector{Status::created, Status::running, Status::running, Status::paused, Status::restarting,
                                                 Status::removing, Status::exited, Status::dead});
    out.health = *rc::gen::elementOf(std::vector{EngineHealth::none, EngineHealth::healthy, EngineHealth::unhealthy});
    return out;
}

History any_history() {
    const auto ago = [] { return k_now - std::chrono::seconds{*rc::gen::inRange(0, 4000)}; };
    History out;
    out.busy = *rc::gen::weightedElement<bool>({{4, false}, {1, true}});
    out.delivered_hash = *hash();
    out.job_runs = *rc::gen::arbitrary<bool>();
    out.agent_says = *rc::gen::elementOf(std::vector<std::string>{"ok", "offline", "degraded: x", "unhealthy: y"});
    out.running_since = ago();
    if (*rc::gen::arbitrary<bool>()) out.last_beat = ago();
    for (int i = *rc::gen::inRange(0, 6); i > 0; --i) out.restarts.push_back(ago());
    std::ranges::sort(out.restarts);
    out.quarantined = *rc::gen::weightedElement<bool>({{4, false}, {1, true}});
    out.ended_with_engine = *rc::gen::arbitrary<bool>();
    out.not_before = k_now + std::chrono::seconds{*rc::gen::inRange(-20, 5)};
    out.probe = *rc::gen::elementOf(std::vector{History::Probe::none, History::Probe::fine, History::Probe::failed});
    out.probed_at = ago();
    return out;
}

Observation any_world(int largest) {
    Observation out;
    const int size = *rc::gen::inRange(0, largest + 1);
    for (int i = 0; i < size; ++i) {
        const auto sut = name_of(i);
        if (*rc::gen::arbitrary<bool>() || i % 3 == 0) out.wanted.emplace(sut, any_wanted());
        if (*rc::gen::arbitrary<bool>()) out.found.emplace(sut, any_found(sut));
        if (*rc::gen::arbitrary<bool>()) out.history.emplace(sut, any_history());
    }
    if (*rc::gen::arbitrary<bool>()) out.link_up_since = k_now - std::chrono::seconds{*rc::gen::inRange(0, 4000)};
    out.fleet_before = out.found.size();
    out.removals_released = *rc::gen::arbitrary<bool>();
    return out;
}

bool interrupts(Verb verb) {
    return verb == Verb::recreate || verb == Verb::retire || verb == Verb::park || verb == Verb::restart;
}

const History& history_of(const Observation& world, const SutName& sut) {
    static const History k_none;
    const auto found = world.history.find(sut);
    return found == world.history.end() ? k_none : found->second;
}

/// What an engine without faults makes of an action.
void perform(Observation& world, const Action& action) {
    auto& history = world.history[action.sut];
    const auto wanted = world.wanted.find(action.sut);
    auto& found = world.found[action.sut];
    switch (action.verb) {
        case Verb::create:
        case Verb::recreate:
            found = FoundContainer{};
            found.config_hash = wanted->second.config_hash;
            [[fallthrough]];
        case Verb::deliver:
            history.delivered_hash = wanted->second.delivery_hash;
            if (action.verb == Verb::deliver) break;
            [[fallthrough]];
        case Verb::start:
        case Verb::restart:
            found.status = Status::running;
            found.health = EngineHealth::healthy;
            history.ended_with_engine = false;
            history.agent_says = "ok";
            break;
        case Verb::probe:
            history.probe = History::Probe::fine;
            history.probed_at = k_now;
            break;
        case Verb::park:
        case Verb::retire: world.found.erase(action.sut); break;
    }
}

/// A world in which nothing is held back: no job, no pause, no quarantine, no brake.
void calm(Observation& world) {
    for (auto& [sut, history] : world.history) {
        history.job_runs = history.busy = history.quarantined = false;
        history.restarts.clear();
        history.not_before = {};
        history.agent_says = "ok";
        history.last_beat = history.running_since = std::nullopt;
    }
    for (auto& [sut, found] : world.found)
        if (found.status == Status::paused || found.status == Status::removing) found.status = Status::exited;
    world.link_up_since.reset();
    world.removals_released = true;
}

bool as_wanted(const Observation& world) {
    for (const auto& [sut, wanted] : world.wanted) {
        const auto found = world.found.find(sut);
        if (wanted.kind == Wanted::Kind::parked && found != world.found.end()) return false;
        if (wanted.kind != Wanted::Kind::run) continue;
        if (found == world.found.end() || found->second.config_hash != wanted.config_hash) return false;
        if (found->second.status != Status::running && found->second.status != Status::restarting) return false;
    }
    return std::ranges::all_of(world.found, [&](const auto& one) { return world.wanted.contains(one.first); });
}

}  // namespace

TEST_CASE("a pass: one action a SUT at most, none for a busy one, and a wake that lies ahead") {
    CHECK(rc::check([] {
        const auto world = any_world(8);
        const auto plan = reconcile(world, k_now);
        std::set<SutName> acted;
        for (const auto& action : plan.actions) {
            RC_ASSERT(acted.insert(action.sut).second);
            RC_ASSERT(!history_of(world, action.sut).busy);
            RC_ASSERT(!action.reason.empty());
        }
        if (plan.wake_at) RC_ASSERT(*plan.wake_at > k_now);
    }));
}

TEST_CASE("a running job is interrupted only when its agent hangs") {
    CHECK(rc::check([] {
        const auto world = any_world(8);
        for (const auto& action : reconcile(world, k_now).actions) {
            const auto found = world.found.find(action.sut);
            if (found == world.found.end() || found->second.status != Status::running) continue;
            if (!history_of(world, action.sut).job_runs || !interrupts(action.verb)) continue;
            RC_ASSERT(action.verb == Verb::restart);
            RC_ASSERT(history_of(world, action.sut).probe == History::Probe::failed);
        }
    }));
}

TEST_CASE("a conf with an error and a quarantine change nothing") {
    CHECK(rc::check([] {
        const auto world = any_world(8);
        for (const auto& action : reconcile(world, k_now).actions) {
            const auto wanted = world.wanted.find(action.sut);
            if (wanted != world.wanted.end() && wanted->second.kind == Wanted::Kind::broken) RC_ASSERT(action.verb == Verb::start);
            if (history_of(world, action.sut).quarantined)
                RC_ASSERT(action.verb != Verb::start && action.verb != Verb::restart);
        }
    }));
}

TEST_CASE("what one SUT gets does not depend on the others, below the brake") {
    CHECK(rc::check([] {
        auto world = any_world(8);
        world.removals_released = true;
        std::string apart;
        std::set<SutName> all;
        for (const auto& [sut, one] : world.wanted) all.insert(sut);
        for (const auto& [sut, one] : world.found) all.insert(sut);
        std::vector<std::string> lines;
        for (const auto& sut : all) {
            Observation alone;
            if (const auto one = world.wanted.find(sut); one != world.wanted.end()) alone.wanted.insert(*one);
            if (const auto one = world.found.find(sut); one != world.found.end()) alone.found.insert(*one);
            if (const auto one = world.history.find(sut); one != world.history.end()) alone.history.insert(*one);
            alone.link_up_since = world.link_up_since;
            alone.removals_released = true;
            const auto plan = reconcile(alone, k_now);
            if (!plan.actions.empty() || !plan.holds.empty()) lines.push_back(to_text(plan));
        }
        std::ranges::sort(lines);
        for (const auto& line : lines) apart += line;
        RC_ASSERT(to_text(reconcile(world, k_now)) == (apart.empty() ? "nothing to do\n" : apart));
    }));
}

TEST_CASE("no more than half of a fleet is removed unless somebody says so") {
    CHECK(rc::check([] {
        auto world = any_world(12);
        world.removals_released = false;
        const auto plan = reconcile(world, k_now);
        const auto removed = std::ranges::count_if(plan.actions, [](const Action& action) { return action.verb == Verb::retire; });
        if (world.fleet_before >= k_brake_from) RC_ASSERT(static_cast<std::size_t>(removed) * 2 <= world.fleet_before);
    }));
}

TEST_CASE("without faults every world becomes as it is wanted, and then stays") {
    CHECK(rc::check([] {
        auto world = any_world(8);
        calm(world);
        for (int pass = 0; pass < 6; ++pass)
            for (const auto& action : reconcile(world, k_now).actions) perform(world, action);
        RC_ASSERT(as_wanted(world));
        RC_ASSERT(reconcile(world, k_now).actions.empty());
    }));
}
