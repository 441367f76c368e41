// What must hold of the supervisor's decision for every world, not only for those that someone
// thought of. A failure prints the world and how to see it again: RC_PARAMS="reproduce=…"
// unit_tests.

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <set>

#include "reconcile.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

using Status = ContainerStatus;
using Millis = std::chrono::milliseconds;

const SteadyTime k_now{std::chrono::hours{1}};

/// All that is wanted, found and known of one SUT; the SUT's name is given to it by its place in a
/// fleet.
struct Sut {
    std::optional<Wanted> wanted;
    std::optional<FoundContainer> found;
    std::optional<History> history;
};

struct World {
    Observation seen;
};

void showValue(const World& world, std::ostream& out) {
    const auto age = [](SteadyTime at) {
        return std::chrono::duration_cast<Millis>(k_now - at).count();
    };
    const auto& seen = world.seen;
    out << "\nfleet_before " << seen.fleet_before << ", released " << seen.removals_released;
    if (seen.link_up_since) out << ", link up for " << age(*seen.link_up_since) << " ms";
    for (const auto& [sut, one] : seen.wanted)
        out << "\n"
            << sut.str() << " wanted: kind " << static_cast<int>(one.kind) << " " << one.config_hash
            << " " << one.delivery_hash << " max_age " << one.max_age.count() << " may "
            << one.restart_on_unhealthy;
    for (const auto& [sut, one] : seen.found)
        out << "\n"
            << sut.str() << " found: status " << static_cast<int>(one.status) << " "
            << one.config_hash << " health " << static_cast<int>(one.health);
    for (const auto& [sut, one] : seen.history) {
        out << "\n"
            << sut.str() << " known: busy " << one.busy << " job " << one.job_runs << " "
            << one.delivered_hash << " says '" << one.agent_says << "' quarantined "
            << one.quarantined << " with engine " << one.ended_unseen << " not before "
            << age(one.not_before) << " probe " << static_cast<int>(one.probe) << " "
            << age(one.probed_at) << " restarts";
        for (const auto at : one.restarts) out << " " << age(at);
        if (one.last_beat) out << " beat " << age(*one.last_beat);
        if (one.running_since) out << " running " << age(*one.running_since);
    }
    out << "\nplan:\n" << to_text(reconcile(seen, k_now));
}

template <typename T>
rc::Gen<std::optional<T>> perhaps(rc::Gen<T> gen) {
    return rc::gen::map(rc::gen::maybe(std::move(gen)), [](rc::Maybe<T> one) {
        return one ? std::optional<T>(*std::move(one)) : std::nullopt;
    });
}

/// For what would hide the rest if it were as often so as not.
rc::Gen<bool> seldom() {
    return rc::gen::weightedElement<bool>({{4, false}, {1, true}});
}

/// Often at a whole second, so that limits are met exactly.
rc::Gen<SteadyTime> within(Millis least, Millis most) {
    const auto whole = [](Millis::rep s) { return k_now + Millis(s * 1000); };
    const auto any = [](Millis::rep ms) { return k_now + Millis(ms); };
    return rc::gen::oneOf(
        rc::gen::map(rc::gen::inRange<Millis::rep>(least.count() / 1000, most.count() / 1000 + 1),
                     whole),
        rc::gen::map(rc::gen::inRange<Millis::rep>(least.count(), most.count() + 1), any));
}

rc::Gen<SteadyTime> ago(Millis most) {
    return within(-most, 0ms);
}

rc::Gen<std::string> a_hash() {
    return rc::gen::element<std::string>("one", "two");
}

rc::Gen<Wanted> a_wanted(rc::Gen<Wanted::Kind> kind) {
    const auto seconds = rc::gen::map(rc::gen::inRange(5, 61),
                                      [](int s) { return Millis(std::chrono::seconds(s)); });
    return rc::gen::build<Wanted>(
        rc::gen::set(&Wanted::kind, std::move(kind)), rc::gen::set(&Wanted::config_hash, a_hash()),
        rc::gen::set(&Wanted::delivery_hash, a_hash()), rc::gen::set(&Wanted::max_age, seconds),
        rc::gen::set(&Wanted::restart_on_unhealthy, rc::gen::map(seldom(), std::logical_not<>())));
}

rc::Gen<FoundContainer> a_container() {
    return rc::gen::build<FoundContainer>(
        rc::gen::set(&FoundContainer::config_hash, a_hash()),
        rc::gen::set(&FoundContainer::status,
                     rc::gen::weightedElement<Status>({{8, Status::running},
                                                       {3, Status::exited},
                                                       {1, Status::created},
                                                       {1, Status::paused},
                                                       {1, Status::restarting},
                                                       {1, Status::removing},
                                                       {1, Status::dead}})),
        rc::gen::set(&FoundContainer::health,
                     rc::gen::element(EngineHealth::none, EngineHealth::starting,
                                      EngineHealth::healthy, EngineHealth::unhealthy)),
        rc::gen::set(&FoundContainer::exit_code, perhaps(rc::gen::element(0, 1, 137))));
}

rc::Gen<std::vector<SteadyTime>> some_restarts() {
    return rc::gen::map(rc::gen::resize(6, rc::gen::container<std::vector<SteadyTime>>(
                                               rc::gen::oneOf(ago(40min), ago(1min)))),
                        [](std::vector<SteadyTime> restarts) {
                            std::ranges::sort(restarts);
                            return restarts;
                        });
}

rc::Gen<History> a_history() {
    using rc::gen::set;
    return rc::gen::build<History>(
        set(&History::busy, seldom()), set(&History::delivered_hash, a_hash()),
        set(&History::job_runs),
        set(&History::agent_says,
            rc::gen::element<std::string>("ok", "degraded: x", "unhealthy: x", "offline", "")),
        set(&History::last_beat, perhaps(ago(90s))),
        set(&History::running_since, perhaps(ago(2min))), set(&History::restarts, some_restarts()),
        set(&History::quarantined, seldom()), set(&History::ended_unseen, seldom()),
        set(&History::not_before, within(-60s, 20s)),
        set(&History::probe,
            rc::gen::element(History::Probe::none, History::Probe::fine, History::Probe::failed)),
        set(&History::probe_said, rc::gen::just(std::string("no heartbeat"))),
        set(&History::probed_at, ago(4s)));
}

rc::Gen<Sut> a_sut(rc::Gen<std::optional<Wanted>> wanted) {
    return rc::gen::build<Sut>(rc::gen::set(&Sut::wanted, std::move(wanted)),
                               rc::gen::set(&Sut::found, perhaps(a_container())),
                               rc::gen::set(&Sut::history, perhaps(a_history())));
}

rc::Gen<Sut> a_sut() {
    using Kind = Wanted::Kind;
    return a_sut(perhaps(a_wanted(
        rc::gen::weightedElement<Kind>({{6, Kind::run}, {1, Kind::parked}, {1, Kind::broken}}))));
}

SutName named(const std::string& fleet, std::size_t place) {
    return *SutName::parse(fleet + std::to_string(place));
}

World world_of(const std::vector<Sut>& suts, std::optional<SteadyTime> link, bool released,
               const std::string& fleet = "sut-") {
    World world;
    for (std::size_t i = 0; i < suts.size(); ++i) {
        const auto name = named(fleet, i);
        if (suts[i].wanted) world.seen.wanted.insert_or_assign(name, *suts[i].wanted);
        if (suts[i].found) world.seen.found.insert_or_assign(name, *suts[i].found);
        if (suts[i].history) world.seen.history.insert_or_assign(name, *suts[i].history);
    }
    world.seen.link_up_since = link;
    world.seen.removals_released = released;
    world.seen.fleet_before = world.seen.found.size();
    return world;
}

rc::Gen<std::vector<Sut>> some_suts(int most = 10) {
    return rc::gen::mapcat(rc::gen::inRange(1, most + 1), [](int count) {
        return rc::gen::container<std::vector<Sut>>(static_cast<std::size_t>(count), a_sut());
    });
}

rc::Gen<World> a_world(rc::Gen<bool> released = rc::gen::arbitrary<bool>()) {
    return rc::gen::map(rc::gen::tuple(some_suts(), perhaps(ago(3min)), std::move(released)),
                        [](const auto& parts) {
                            return world_of(std::get<0>(parts), std::get<1>(parts),
                                            std::get<2>(parts));
                        });
}

History known(const Observation& seen, const SutName& sut) {
    const auto history = seen.history.find(sut);
    return history == seen.history.end() ? History{} : history->second;
}

/// A running, heard and unsuspected agent of what is wanted.
Sut converged(const Wanted& wanted) {
    Sut out{wanted, FoundContainer{}, History{}};
    out.found->config_hash = wanted.config_hash;
    out.found->status = Status::running;
    out.found->health = EngineHealth::healthy;
    out.history->delivered_hash = wanted.delivery_hash;
    out.history->agent_says = "ok";
    out.history->running_since = k_now - 1min;
    out.history->last_beat = k_now - 1s;
    return out;
}

/// An engine and agents without faults: every action succeeds that could, and who runs is heard.
class Lab {
  public:
    explicit Lab(Observation seen) : seen_(std::move(seen)) {}

    /// Decides, acts, and lets time go on to when the plan asks to look again, or a little further.
    Plan pass() {
        auto plan = reconcile(seen_, now_);
        for (const auto& action : plan.actions) perform(action);
        now_ = std::max(plan.wake_at.value_or(now_), now_ + 10s);
        ++passes_;
        settle();
        return plan;
    }
    [[nodiscard]] const Observation& seen() const { return seen_; }

  private:
    void perform(const Action& action) {
        auto& history = seen_.history[action.sut];
        count_restart(action, history);
        switch (action.verb) {
            case Verb::create:
                RC_ASSERT(!seen_.found.contains(action.sut));
                return make(action.sut, history);
            case Verb::recreate:
                return make(action.sut, history);
            case Verb::start:
                return start(seen_.found.at(action.sut));
            case Verb::restart:
                history.probe = History::Probe::none;
                history.last_beat.reset();
                return start(seen_.found.at(action.sut));
            case Verb::deliver:
                history.delivered_hash = seen_.wanted.at(action.sut).delivery_hash;
                return;
            case Verb::probe:
                history.probe = History::Probe::fine;
                history.probed_at = now_;
                return;
            case Verb::park:
            case Verb::retire:
                RC_ASSERT(seen_.found.erase(action.sut) == 1U);
                return;
            case Verb::purge:
                RC_FAIL("nobody asked for it");
        }
    }

    void count_restart(const Action& action, History& history) const {
        if (action.verb != Verb::restart &&
            (action.verb != Verb::start || history.ended_unseen))
            return;
        history.restarts.push_back(now_);
        std::erase_if(history.restarts,
                      [&](SteadyTime at) { return now_ - at > k_restart_window; });
        if (history.restarts.size() > k_quarantine_after) history.quarantined = true;
    }

    void make(const SutName& sut, History& history) {
        const auto& wanted = seen_.wanted.at(sut);
        FoundContainer made;
        made.config_hash = wanted.config_hash;
        made.status = Status::running;
        seen_.found.insert_or_assign(sut, made);
        history.delivered_hash = wanted.delivery_hash;
    }

    /// An engine never starts what it is removing, nor what it failed to remove.
    static void start(FoundContainer& found) {
        RC_ASSERT(found.status != Status::removing && found.status != Status::dead);
        found.status = Status::running;
    }

    void settle() {
        std::erase_if(seen_.found,
                      [](const auto& one) { return one.second.status == Status::removing; });
        for (auto& [sut, history] : seen_.history) {
            history.busy = false;
            const auto found = seen_.found.find(sut);
            const bool frozen =
                found != seen_.found.end() && found->second.status == Status::paused;
            if (passes_ > 2 && !frozen) history.job_runs = false;
        }
        for (auto& [sut, found] : seen_.found) {
            if (found.status == Status::restarting) found.status = Status::running;
            if (found.status == Status::running) hear(found, seen_.history[sut]);
        }
    }

    void hear(FoundContainer& found, History& history) const {
        found.health = EngineHealth::healthy;
        history.agent_says = "ok";
        history.last_beat = now_;
        if (!history.running_since) history.running_since = now_;
        history.ended_unseen = false;
    }

    Observation seen_;
    SteadyTime now_ = k_now;
    int passes_ = 0;
};

/// @return whether nothing but a person could bring the SUT further: it was paused, or is in
/// quarantine.
bool waits_for_people(const Observation& seen, const SutName& sut) {
    const auto found = seen.found.find(sut);
    if (found == seen.found.end()) return false;
    const auto status = found->second.status;
    const auto history = known(seen, sut);
    if (status == Status::paused) return seen.wanted.contains(sut) || history.job_runs;
    return history.quarantined &&
           (status == Status::exited || status == Status::created || status == Status::dead);
}

void check_where_it_ends(const Observation& seen, const SutName& sut) {
    const auto wanted = seen.wanted.find(sut);
    const auto found = seen.found.find(sut);
    const bool there = found != seen.found.end();
    if (wanted == seen.wanted.end() || wanted->second.kind == Wanted::Kind::parked) {
        RC_ASSERT(!there);
    } else if (wanted->second.kind == Wanted::Kind::run) {
        RC_ASSERT(there);
        RC_ASSERT(found->second.status == Status::running);
        RC_ASSERT(found->second.config_hash == wanted->second.config_hash);
        RC_ASSERT(known(seen, sut).delivered_hash == wanted->second.delivery_hash);
    }
}

std::set<SutName> names(const Observation& seen) {
    std::set<SutName> out;
    for (const auto& [sut, one] : seen.wanted) out.insert(sut);
    for (const auto& [sut, one] : seen.found) out.insert(sut);
    return out;
}

std::size_t count(const Plan& plan, Verb verb) {
    return static_cast<std::size_t>(std::ranges::count(plan.actions, verb, &Action::verb));
}

bool is_any_of(Verb verb, std::initializer_list<Verb> verbs) {
    return std::ranges::find(verbs, verb) != verbs.end();
}

/// Written again from the reference, not from the code: when silence of an agent that should be
/// heard began.
bool long_silent(const Observation& seen, const SutName& sut, SteadyTime at) {
    const auto history = known(seen, sut);
    const auto max_age = seen.wanted.at(sut).max_age;
    if (!seen.link_up_since || !history.running_since) return false;
    const bool heard = history.last_beat && at - *history.last_beat < max_age;
    return !heard && at - *history.running_since >= max_age &&
           at - *seen.link_up_since >= max_age + k_link_settles;
}

template <typename Testable>
void property(const std::string& what, Testable testable) {
    CAPTURE(what);
    const bool holds = rc::check(what, std::move(testable));
    CHECK(holds);
}

}  // namespace

TEST_CASE("property: a converged fleet is left alone") {
    property("nothing to do, and nothing to do again", [] {
        const auto wishes =
            *rc::gen::container<std::vector<Wanted>>(a_wanted(rc::gen::just(Wanted::Kind::run)));
        std::vector<Sut> suts;
        for (const auto& wanted : wishes) suts.push_back(converged(wanted));
        const auto world = world_of(suts, *perhaps(ago(3min)), *rc::gen::arbitrary<bool>());
        const auto plan = reconcile(world.seen, k_now);
        RC_ASSERT(to_text(plan) == "nothing to do\n");
        RC_ASSERT(to_text(reconcile(world.seen, plan.wake_at.value_or(k_now) - 1ms)) ==
                  "nothing to do\n");
    });
}

TEST_CASE("property: every world converges when nothing fails") {
    property("each SUT gets what is wanted within 40 passes", [] {
        Lab lab((*a_world(rc::gen::just(true))).seen);
        Plan last;
        for (int i = 0; i < 40; ++i) last = lab.pass();
        RC_ASSERT(last.actions.empty());
        for (const auto& sut : names(lab.seen()))
            if (!waits_for_people(lab.seen(), sut)) check_where_it_ends(lab.seen(), sut);
    });
}

TEST_CASE("property: one action a SUT, and none while one is under way") {
    property("each SUT is acted on, held, or neither", [] {
        const auto world = *a_world();
        const auto plan = reconcile(world.seen, k_now);
        std::set<SutName> seen;
        for (const auto& action : plan.actions) {
            RC_ASSERT(seen.insert(action.sut).second);
            RC_ASSERT(!known(world.seen, action.sut).busy);
            RC_ASSERT(known(world.seen, action.sut).not_before <= k_now);
            RC_ASSERT(!action.reason.empty());
            const auto found = world.seen.found.find(action.sut);
            const bool leaves =
                found != world.seen.found.end() && found->second.status == Status::removing;
            RC_ASSERT_FALSE(leaves);  // a name of its own: within the macro && looks at both sides
        }
        for (const auto& hold : plan.holds) {
            RC_ASSERT(seen.insert(hold.sut).second);
            RC_ASSERT(!hold.reason.empty());
        }
    });
}

TEST_CASE("property: SUTs do not sway each other's plan") {
    property("the plan of two fleets together is both plans, while no brake is in play", [] {
        const auto link = *perhaps(ago(3min));
        const auto left = *some_suts(5);
        const auto right = *some_suts(5);
        auto one = world_of(left, link, false, "left-").seen;
        auto other = world_of(right, link, false, "right-").seen;
        one.fleet_before = other.fleet_before = *rc::gen::inRange<std::size_t>(0, k_brake_from);
        auto both = one;
        both.wanted.merge(std::map(other.wanted));
        both.found.merge(std::map(other.found));
        both.history.merge(std::map(other.history));
        one.removals_released = other.removals_released = both.removals_released =
            both.found.size() >= k_brake_from;
        auto sum = reconcile(one, k_now);
        const auto more = reconcile(other, k_now);
        sum.actions.insert(sum.actions.end(), more.actions.begin(), more.actions.end());
        sum.holds.insert(sum.holds.end(), more.holds.begin(), more.holds.end());
        const auto plan = reconcile(both, k_now);
        RC_ASSERT(to_text(plan) == to_text(sum));
        const auto sooner = sum.wake_at && more.wake_at ? std::min(sum.wake_at, more.wake_at)
                                                        : std::max(sum.wake_at, more.wake_at);
        RC_ASSERT(plan.wake_at == sooner);
    });
}

TEST_CASE("property: a conf with an error changes nothing") {
    property("it makes, reshapes, fills and removes no container", [] {
        const auto world = *a_world();
        for (const auto& action : reconcile(world.seen, k_now).actions) {
            const auto wanted = world.seen.wanted.find(action.sut);
            if (wanted == world.seen.wanted.end() || wanted->second.kind != Wanted::Kind::broken)
                continue;
            RC_ASSERT(action.verb == Verb::start);
        }
    });
}

TEST_CASE("property: a running job is waited for") {
    property("only a hang ends it: silence, and a probe that failed since", [] {
        const auto world = *a_world();
        for (const auto& action : reconcile(world.seen, k_now).actions) {
            const auto found = world.seen.found.find(action.sut);
            const auto history = known(world.seen, action.sut);
            if (found == world.seen.found.end() || !history.job_runs) continue;
            const bool lives = found->second.status == Status::running ||
                               found->second.status == Status::restarting ||
                               found->second.status == Status::paused;
            if (!lives) continue;
            RC_ASSERT(!is_any_of(action.verb, {Verb::recreate, Verb::retire, Verb::park}));
            if (action.verb != Verb::restart) continue;
            RC_ASSERT(history.probe == History::Probe::failed);
            RC_ASSERT(k_now - history.probed_at < k_probe_again);
            RC_ASSERT(long_silent(world.seen, action.sut, history.probed_at));
        }
    });
}

TEST_CASE("property: half of a fleet stays") {
    property("unless it is released", [] {
        auto world = *a_world();
        world.seen.fleet_before += *rc::gen::inRange<std::size_t>(0, 3);
        const auto removals = count(reconcile(world.seen, k_now), Verb::retire);
        if (world.seen.removals_released || world.seen.fleet_before < k_brake_from) return;
        RC_ASSERT(removals * 2 <= world.seen.fleet_before);
    });
    property("also when its confs vanish one by one", [] {
        auto seen = (*a_world(rc::gen::just(false))).seen;
        const auto fleet = seen.found.size();
        if (fleet < k_brake_from) return;
        std::size_t removals = 0;
        for (int i = 0; i < 6; ++i) {
            for (const auto& sut : names(seen))
                if (*seldom()) seen.wanted.erase(sut);
            const auto plan = reconcile(seen, k_now + std::chrono::seconds{i});
            for (auto& [sut, history] : seen.history) history.busy = history.job_runs = *seldom();
            for (const auto& action : plan.actions)
                if (action.verb == Verb::retire) removals += seen.found.erase(action.sut);
        }
        RC_ASSERT(removals * 2 <= fleet);
    });
}

TEST_CASE("property: one is woken later, not at once") {
    property("wake_at is in the future", [] {
        const auto world = *a_world();
        const auto plan = reconcile(world.seen, k_now);
        if (plan.wake_at) RC_ASSERT(*plan.wake_at > k_now);
    });
}

TEST_CASE("property: quarantine is not left by itself") {
    property("no start, no restart", [] {
        const auto world = *a_world();
        for (const auto& action : reconcile(world.seen, k_now).actions)
            if (known(world.seen, action.sut).quarantined)
                RC_ASSERT(!is_any_of(action.verb, {Verb::start, Verb::restart}));
    });
}
