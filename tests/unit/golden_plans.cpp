// Whole fleets and the plan for them, as text, in tests/unit/golden. UPDATE_GOLDEN=1 writes the files anew.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "reconcile.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_now{std::chrono::hours{1}};
using Status = ContainerStatus;

void compare(const std::string& name, const Observation& world) {
    const auto path = std::string(SOURCE_FOLDER) + "/tests/unit/golden/" + name + ".txt";
    const auto plan = to_text(reconcile(world, k_now));
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << plan;
    std::ostringstream golden;
    golden << std::ifstream(path).rdbuf();
    CHECK_MESSAGE(plan == golden.str(), path);
}

/// A fleet in which all is well: the tests break single things.
struct Fleet : Observation {
    explicit Fleet(std::initializer_list<const char*> names) {
        for (const auto* name : names) {
            const auto sut = *SutName::parse(name);
            Wanted want;
            want.config_hash = "shape";
            want.delivery_hash = "files";
            wanted.emplace(sut, want);
            FoundContainer one;
            one.config_hash = "shape";
            one.status = Status::running;
            one.health = EngineHealth::healthy;
            found.emplace(sut, one);
            History past;
            past.delivered_hash = "files";
            past.agent_says = "ok";
            past.running_since = k_now - 30min;
            past.last_beat = k_now - 1s;
            history.emplace(sut, past);
        }
        link_up_since = k_now - 40min;
        fleet_before = found.size();
    }
    Wanted& want(const char* name) { return wanted.at(*SutName::parse(name)); }
    FoundContainer& find(const char* name) { return found.at(*SutName::parse(name)); }
    History& past(const char* name) { return history.at(*SutName::parse(name)); }
    void forget(const char* name) { wanted.erase(*SutName::parse(name)); }
    void lose(const char* name) { found.erase(*SutName::parse(name)); }
};

}  // namespace

TEST_CASE("golden: the first start") {
    Fleet fleet{"alpha", "bravo", "charlie", "delta"};
    fleet.found.clear();
    fleet.want("charlie").kind = Wanted::Kind::parked;
    fleet.want("delta").kind = Wanted::Kind::broken;
    compare("first_start", fleet);
}

TEST_CASE("golden: an ordinary day") {
    Fleet fleet{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot"};
    fleet.want("alpha").config_hash = "another shape";
    fleet.want("bravo").config_hash = "another shape";
    fleet.past("bravo").job_runs = true;
    fleet.want("charlie").delivery_hash = "other files";
    fleet.forget("delta");
    fleet.lose("echo");
    compare("ordinary_day", fleet);
}

TEST_CASE("golden: a bad day") {
    Fleet fleet{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"};
    fleet.find("alpha").status = Status::exited;
    fleet.find("alpha").exit_code = 137;
    fleet.find("alpha").oom_killed = true;
    fleet.find("bravo").status = Status::paused;
    fleet.past("charlie").last_beat = k_now - 25s;
    fleet.past("delta").last_beat = k_now - 25s;
    fleet.past("delta").probe = History::Probe::failed;
    fleet.past("delta").probe_said = "no heartbeat for 25 s";
    fleet.past("delta").probed_at = k_now - 1s;
    fleet.past("echo").agent_says = "unhealthy: command in a crash loop";
    fleet.past("echo").job_runs = true;
    fleet.find("foxtrot").status = Status::exited;
    fleet.past("foxtrot").quarantined = true;
    fleet.find("golf").status = Status::exited;
    fleet.past("golf").restarts = {k_now - 15s, k_now - 4s};
    fleet.past("hotel").agent_says = "unhealthy: no room for logs";
    fleet.want("hotel").restart_on_unhealthy = false;
    compare("bad_day", fleet);
}

TEST_CASE("golden: an emptied folder") {
    Fleet fleet{"alpha", "bravo", "charlie", "delta"};
    fleet.wanted.clear();
    compare("emptied_folder", fleet);
    fleet.removals_released = true;
    compare("emptied_folder_released", fleet);
}

TEST_CASE("golden: the engine was away") {
    Fleet fleet{"alpha", "bravo", "charlie"};
    for (const auto* name : {"alpha", "bravo", "charlie"}) {
        fleet.find(name).status = Status::exited;
        fleet.past(name).ended_with_engine = true;
        fleet.past(name).restarts = {k_now - 2s};
    }
    fleet.past("charlie").quarantined = true;
    compare("engine_was_away", fleet);
}
