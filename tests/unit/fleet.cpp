// The memory between passes: it decides for what was touched only, and that is what the whole would have been.
#include "fleet.hpp"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "container_spec.hpp"
#include "failure.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

using Status = ContainerStatus;

const SteadyTime k_start{1h};

SutName sut(const std::string& name) { return *SutName::parse(name); }

Wanted wanted(std::string config = "c") { return {Wanted::Kind::run, std::move(config), "d", 20s, true}; }

FoundContainer container(const SutName& of, Status status = Status::running, std::string config = "c") {
    FoundContainer out;
    out.id = "id-" + of.str();
    out.sut = of.str();
    out.config_hash = std::move(config);
    out.status = status;
    out.health = EngineHealth::healthy;
    return out;
}

std::string text(const std::vector<Action>& actions) {
    std::string out;
    for (const auto& action : actions) out += std::string(to_string(action.verb)) + " " + action.sut.str() + "\n";
    return out;
}

/// An action has ended.
void settle(Fleet& fleet, const SutName& of, bool well, SteadyTime not_before = {}) {
    auto& history = fleet.know(of);
    history.busy = false;
    history.failures = well ? 0 : history.failures + 1;
    history.not_before = not_before;
}

}  // namespace

TEST_CASE("a probe that failed is not held against an agent that says it is well") {
    Fleet fleet;
    const auto alpha = sut("aa");
    for (const auto& [says, probe] : {std::pair{"ok", History::Probe::none}, std::pair{"degraded: broker away", History::Probe::none},
                                      std::pair{"unhealthy: no room for logs", History::Probe::failed}, std::pair{"offline", History::Probe::failed}}) {
        fleet.know(alpha).probe = History::Probe::failed;
        fleet.beat(alpha, says, k_start);
        CHECK(fleet.history(alpha).probe == probe);
    }
}

TEST_CASE("what was seen to end is not taken for ended unseen when the engine was away afterwards") {
    Fleet fleet("x");
    const auto alpha = sut("aa"), bravo = sut("bb");
    fleet.find(alpha, container(alpha, Status::exited), k_start);
    fleet.find(bravo, container(bravo, Status::running), k_start);
    for (const auto& one : {alpha, bravo}) fleet.find(one, container(one, Status::exited), k_start, true);
    CHECK_FALSE(fleet.history(alpha).ended_unseen);
    CHECK(fleet.history(bravo).ended_unseen);
}

TEST_CASE("fleet: the oldest need comes first, and a place is kept for those that did not fail") {
    Fleet fleet;
    for (const auto* late : {"aa", "bb"}) fleet.want(sut(late), std::nullopt);
    fleet.want(sut("zz"), wanted());
    fleet.decide(k_start);
    for (const auto* late : {"aa", "bb"}) fleet.want(sut(late), wanted());
    fleet.decide(k_start + 1s);
    CHECK(text(fleet.take(2, 1)) == "create zz\ncreate aa\n");
    CHECK(text(fleet.take(8, 8)) == "create bb\n");
    CHECK(fleet.take(8, 8).empty());
    // zz needs it for longest, but it fails: with no place for those that fail it waits, and delays nobody.
    for (const auto* one : {"zz", "aa", "bb"}) settle(fleet, sut(one), false);
    fleet.want(sut("cc"), wanted());
    fleet.decide(k_start + 2s);
    CHECK(fleet.waiting() == 4);
    CHECK(text(fleet.take(8, 0)) == "create cc\n");
    CHECK(text(fleet.take(8, 1)) == "create zz\n");
    CHECK(text(fleet.take(8, 8)) == "create aa\ncreate bb\n");
}

TEST_CASE("fleet: a SUT that failed is left alone until its time, and a changed conf is tried at once") {
    Fleet fleet;
    fleet.want(sut("aa"), wanted());
    fleet.decide(k_start);
    CHECK(fleet.take(8, 8).size() == 1);
    settle(fleet, sut("aa"), false, k_start + 30s);
    fleet.decide(k_start + 1s);
    CHECK(fleet.take(8, 8).empty());
    CHECK(fleet.wake_at() == k_start + 30s);
    fleet.decide(k_start + 29s);
    CHECK(fleet.take(8, 8).empty());
    fleet.decide(k_start + 30s);
    CHECK(text(fleet.take(8, 8)) == "create aa\n");
    settle(fleet, sut("aa"), false, k_start + 90s);
    fleet.want(sut("aa"), wanted("other"));
    fleet.decide(k_start + 31s);
    CHECK(text(fleet.take(8, 8)) == "create aa\n");
}

TEST_CASE("fleet: heartbeats cost no decision, and their absence is noticed all the same") {
    Fleet fleet;
    const auto alpha = sut("alpha");
    fleet.want(alpha, wanted());
    fleet.link(k_start - 1h);
    fleet.find(alpha, container(alpha), k_start);
    fleet.know(alpha).delivered_hash = "d";
    fleet.beat(alpha, "ok", k_start);
    fleet.decide(k_start);
    (void)fleet.take_changed();
    for (int i = 1; i <= 20; ++i) fleet.beat(alpha, "ok", k_start + i * 5s);
    CHECK(fleet.take_changed().empty());
    auto now = k_start;
    while (fleet.waiting() == 0 && now < k_start + 1h) {
        now = *fleet.wake_at();
        fleet.decide(now);
    }
    CHECK(now == k_start + 100s + 20s);
    CHECK(text(fleet.take(1, 0)) == "probe alpha\n");
}

TEST_CASE("fleet: what is summed up piece by piece is what a count of all gives") {
    Fleet fleet;
    for (const auto* name : {"aa", "bb", "cc"}) {
        fleet.want(sut(name), wanted());
        fleet.find(sut(name), container(sut(name)), k_start);
    }
    fleet.beat(sut("aa"), "ok", k_start);
    fleet.beat(sut("bb"), "degraded: no broker", k_start);
    fleet.decide(k_start);
    CHECK(fleet.totals().agents == 3);
    CHECK(fleet.totals().ok == 1);
    CHECK(fleet.totals().by_health.at(static_cast<std::size_t>(Fleet::Health::degraded)) == 1);
    fleet.find(sut("aa"), container(sut("aa"), Status::exited), k_start);
    fleet.want(sut("bb"), std::nullopt);
    fleet.decide(k_start);
    CHECK(fleet.totals().by_status.at(static_cast<std::size_t>(Status::running)) == 2);
    CHECK(fleet.totals().stay == 2);
    fleet.find(sut("bb"), std::nullopt, k_start);
    fleet.decide(k_start);
    CHECK(fleet.strays() == std::set{sut("bb")});
    for (const auto* name : {"aa", "bb", "cc"}) fleet.forget(sut(name));
    CHECK(fleet.totals() == Fleet::Totals{});
}

TEST_CASE("fleet: the brake holds for a minute after the fleet was larger, and lets go by itself") {
    Fleet fleet;
    for (const auto* name : {"aa", "bb", "cc", "dd"}) {
        fleet.want(sut(name), wanted());
        fleet.find(sut(name), container(sut(name)), k_start);
        fleet.know(sut(name)).delivered_hash = "d";
    }
    fleet.decide(k_start);
    for (const auto* name : {"aa", "bb", "cc"}) fleet.want(sut(name), std::nullopt);
    fleet.decide(k_start + 1s);
    CHECK(fleet.take(8, 8).empty());
    CHECK(fleet.held().size() == 3);
    CHECK(fleet.hold(sut("aa")).starts_with("3 of 4"));
    fleet.release_removals();
    fleet.decide(k_start + 2s);
    CHECK(text(fleet.take(8, 8)) == "retire aa\nretire bb\nretire cc\n");
}

TEST_CASE("recent maximum: it keeps a minute, of every value") {
    RecentMax size;
    size.note(10, k_start);
    size.note(4, k_start + 1s);
    size.note(7, k_start + 2s);
    CHECK(size.get() == 10);
    CHECK(size.falls_at() == k_start + 61s + 1ms);
    size.note(2, k_start + 30s);
    size.note(2, k_start + 61s + 1ms);
    CHECK(size.get() == 7);
    size.note(2, k_start + 90s + 1ms);
    CHECK(size.get() == 2);
    CHECK_FALSE(size.falls_at());
}

TEST_CASE("property: a fleet that is told what changed decides as one that is looked at as a whole") {
    const bool held = rc::check([] {
        const std::vector<SutName> names{sut("aa"), sut("bb"), sut("cc"), sut("dd"), sut("ee")};
        Fleet fleet;
        auto now = k_start;
        const auto steps = *rc::gen::inRange(1, 40);
        for (int step = 0; step < steps; ++step) {
            const auto& name = *rc::gen::elementOf(names);
            switch (*rc::gen::inRange(0, 9)) {
                case 0: fleet.want(name, wanted(*rc::gen::element<std::string>("c", "x"))); break;
                case 1: fleet.want(name, std::nullopt); break;
                case 2: fleet.find(name, container(name, *rc::gen::element(Status::running, Status::exited, Status::paused, Status::dead)), now); break;
                case 3: fleet.find(name, std::nullopt, now); break;
                case 4: fleet.beat(name, *rc::gen::element<std::string>("ok", "offline", "unhealthy: x"), now); break;
                case 5: fleet.know(name).delivered_hash = *rc::gen::element<std::string>("d", ""); break;
                case 6: fleet.link(*rc::gen::element<std::optional<SteadyTime>>(std::nullopt, now)); break;
                case 7: fleet.know(name).job_runs = *rc::gen::arbitrary<bool>(); break;
                default: settle(fleet, name, *rc::gen::arbitrary<bool>(), now + *rc::gen::element(0s, 10s)); break;
            }
            now += *rc::gen::element<std::chrono::milliseconds>(0ms, 1s, 20s, 61s);
            fleet.decide(now);
            auto whole = fleet.observation();
            const auto plan = reconcile(whole, now);
            RC_ASSERT(fleet.waiting() == plan.actions.size());
            std::map<SutName, std::string> holds;
            for (const auto& hold : plan.holds) holds[hold.sut] = hold.reason;
            for (const auto& one : names) RC_ASSERT(fleet.hold(one) == holds[one]);
            if (*rc::gen::arbitrary<bool>()) continue;
            auto begun = fleet.take(8, 8);
            auto due = plan.actions;
            std::ranges::sort(begun, {}, &Action::sut);
            std::ranges::sort(due, {}, &Action::sut);
            RC_ASSERT(begun == due);
        }
    });
    CHECK(held);
}

TEST_CASE("a failed action: what is missing or in the way is tried soon, what needs another conf seldom") {
    CHECK(retry_policy({ErrorKind::transient, ""}).base == 1s);
    CHECK(retry_policy({ErrorKind::conflict, ""}).base == 1s);
    CHECK(retry_policy({ErrorKind::not_found, ""}).base == 1s);
    CHECK(retry_policy({ErrorKind::invalid_input, ""}).base == 10s);
    CHECK(retry_policy({ErrorKind::permanent, ""}).cap == 5min);
    CHECK(with_half_jitter(10s, 0) == 5s);
    CHECK(with_half_jitter(10s, 0.5) == 7500ms);
}

TEST_CASE("an engine's refusal is said plainly, in its own words too") {
    const auto says = [](const char* message) { return plainly({ErrorKind::transient, message}); };
    CHECK(says("invalid mount config for type \"bind\": bind source path does not exist: /x").starts_with("mount source missing: invalid"));
    CHECK(says("error gathering device information while adding custom device \"/dev/x\": no such file").starts_with("device missing: "));
    CHECK(says("network lab not found") == "network missing: network lab not found");
    CHECK(says("No such image: x:latest").starts_with("image missing: "));
    CHECK(says("driver failed: Bind for 0.0.0.0:80 failed: port is already allocated").starts_with("port taken: "));
    CHECK(says("image missing: x is not on this engine") == "image missing: x is not on this engine");
    CHECK(says("some other thing") == "some other thing");
}

TEST_CASE("health probes: their interval follows the fleet's size, and a plan that makes containers says so") {
    CHECK(auto_interval(1, 4) == 10s);
    CHECK(auto_interval(200, 4) == 150s);
    CHECK(auto_interval(200, 0) == 600s);
    Plan plan;
    CHECK(interval_line(plan, 200, 4).empty());
    plan.actions.push_back({Verb::restart, sut("aa"), "asked for"});
    CHECK(interval_line(plan, 200, 4).empty());
    plan.actions.push_back({Verb::create, sut("bb"), "no container"});
    CHECK(interval_line(plan, 200, 4) == "new containers with interval: auto are probed every 150 s: 200 agents on 4 cores\n");
}

TEST_CASE("fleet: of an agent that is not on the bus its probe's reason is told") {
    const auto found = container(sut("alpha"));
    History history;
    history.agent_says = "offline";
    history.probe = History::Probe::fine;
    const std::string unreachable = "unreachable: its probe is fine, but it is not on the bus";
    const auto why = [&](const std::string& said) {
        history.probe_said = said;
        return judge(&found, history);
    };
    CHECK(why("ok") == std::pair<std::string, std::string>{"degraded", unreachable});
    CHECK(why("degraded: broker away: x") == std::pair<std::string, std::string>{"degraded", unreachable + "; it says: broker away: x"});
}
