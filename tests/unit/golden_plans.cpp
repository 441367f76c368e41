// The plans of whole fleets, as people read them, against the files in golden/. After a meant
// change: UPDATE_GOLDEN=1 build/dev/tests/unit_tests -tc='golden*', and read the difference.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "reconcile.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

using Kind = Wanted::Kind;
using Status = ContainerStatus;
using Change = void (*)(Wanted&, FoundContainer&, History&);

const SteadyTime k_now{std::chrono::hours{1}};

/// A fleet in the making: each SUT is healthy and as wanted, but for what is changed of it.
class Fleet {
  public:
    Fleet() { seen_.link_up_since = k_now - 40min; }

    Fleet& healthy(const char* name) {
        return with(name, [](Wanted&, FoundContainer&, History&) {});
    }
    Fleet& with(const char* name, Change change) {
        auto [wanted, found, history] = converged();
        change(wanted, found, history);
        seen_.wanted.insert_or_assign(sut(name), wanted);
        seen_.found.insert_or_assign(sut(name), found);
        seen_.history.insert_or_assign(sut(name), history);
        return *this;
    }
    Fleet& without_conf(
        const char* name, Change change = [](Wanted&, FoundContainer&, History&) {}) {
        with(name, change);
        seen_.wanted.erase(sut(name));
        return *this;
    }
    Fleet& without_container(const char* name, Kind kind) {
        with(name, [](Wanted&, FoundContainer&, History&) {});
        seen_.wanted.at(sut(name)).kind = kind;
        seen_.found.erase(sut(name));
        seen_.history.erase(sut(name));
        return *this;
    }
    Fleet& upgrade() {
        seen_.programs = "new";
        return *this;
    }
    Fleet& release() {
        seen_.removals_released = true;
        return *this;
    }
    [[nodiscard]] std::string plan() const {
        auto seen = seen_;
        seen.fleet_before = seen.found.size();
        return to_text(reconcile(seen, k_now));
    }

  private:
    static SutName sut(const char* name) { return *SutName::parse(name); }

    static std::tuple<Wanted, FoundContainer, History> converged() {
        Wanted wanted;
        wanted.config_hash = "shape";
        wanted.delivery_hash = "files";
        FoundContainer found;
        found.config_hash = "shape";
        found.status = Status::running;
        found.health = EngineHealth::healthy;
        History history;
        history.delivered_hash = "files";
        history.agent_says = "ok";
        history.running_since = k_now - 30min;
        history.last_beat = k_now - 1s;
        return {wanted, found, history};
    }

    Observation seen_;
};

void ended(FoundContainer& found, History& history, int code) {
    found.status = Status::exited;
    found.exit_code = code;
    history.running_since.reset();
}

void silent(History& history, History::Probe probe = History::Probe::none) {
    history.last_beat = k_now - 25s;
    history.probe = probe;
    history.probe_said = "no heartbeat for 25 s";
    history.probed_at = k_now - 1s;
}

void check_golden(const std::string& name, const std::string& plan) {
    const auto path = std::string(SOURCE_FOLDER "/tests/unit/golden/") + name + ".txt";
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(path) << plan;
    std::ifstream file(path);
    std::ostringstream golden;
    golden << file.rdbuf();
    CAPTURE(path);
    CHECK(plan == golden.str());
}

}  // namespace

TEST_CASE("golden: the first start of a fleet") {
    Fleet fleet;
    fleet.without_container("alpha", Kind::run).without_container("bravo", Kind::run);
    fleet.without_container("charlie", Kind::parked).without_container("delta", Kind::broken);
    fleet.without_container("echo", Kind::run).without_container("foxtrot", Kind::run);
    check_golden("first_start", fleet.plan());
}

TEST_CASE("golden: a day of edits") {
    Fleet fleet;
    fleet.healthy("alpha");
    fleet.with("bravo",
               [](Wanted& wanted, FoundContainer&, History&) { wanted.config_hash = "new shape"; });
    fleet.with("charlie", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        history.job_runs = true;
    });
    fleet.with("delta", [](Wanted& wanted, FoundContainer&, History&) {
        wanted.delivery_hash = "new files";
    });
    fleet.with("delta-2", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.delivery_hash = "new files";
        history.changed = {"env.TOKEN", "timeouts.job"};
    });
    fleet.with("delta-3", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        wanted.delivery_hash = "new files";
        history.changed = {"image"};
        history.job_runs = true;
    });
    fleet.with("echo",
               [](Wanted& wanted, FoundContainer&, History&) { wanted.kind = Kind::parked; });
    fleet.with("foxtrot", [](Wanted& wanted, FoundContainer&, History&) {
        wanted.kind = Kind::broken;
        wanted.config_hash = wanted.delivery_hash = "";
    });
    fleet.without_conf("golf");
    fleet.without_conf("hotel",
                       [](Wanted&, FoundContainer&, History& history) { history.job_runs = true; });
    check_golden("edits", fleet.plan());
}

TEST_CASE("golden: after the engine was away") {
    Fleet fleet;
    fleet.with("alpha", [](Wanted&, FoundContainer& found, History& history) {
        ended(found, history, 137);
        history.ended_unseen = true;
        history.restarts = {k_now - 2s};
    });
    fleet.with("bravo", [](Wanted&, FoundContainer& found, History& history) {
        ended(found, history, 137);
        found.oom_killed = true;
    });
    fleet.with("charlie",
               [](Wanted&, FoundContainer& found, History&) { found.status = Status::dead; });
    fleet.with("delta",
               [](Wanted&, FoundContainer& found, History&) { found.status = Status::paused; });
    fleet.with("echo",
               [](Wanted&, FoundContainer& found, History&) { found.status = Status::removing; });
    fleet.with("foxtrot", [](Wanted&, FoundContainer& found, History& history) {
        ended(found, history, 1);
        history.restarts = {k_now - 60s, k_now - 12s};
    });
    fleet.with("golf", [](Wanted&, FoundContainer& found, History& history) {
        ended(found, history, 1);
        history.quarantined = true;
    });
    fleet.with("hotel", [](Wanted& wanted, FoundContainer& found, History& history) {
        ended(found, history, 0);
        wanted.kind = Kind::broken;
    });
    check_golden("engine_was_away", fleet.plan());
}

TEST_CASE("golden: a fleet in ill health") {
    using Probe = History::Probe;
    Fleet fleet;
    fleet.with("alpha", [](Wanted&, FoundContainer&, History& history) { silent(history); });
    fleet.with("bravo",
               [](Wanted&, FoundContainer&, History& history) { silent(history, Probe::fine); });
    fleet.with("charlie", [](Wanted&, FoundContainer&, History& history) {
        silent(history, Probe::failed);
        history.job_runs = true;
    });
    fleet.with("delta", [](Wanted&, FoundContainer&, History& history) {
        silent(history, Probe::failed);
        history.restarts = {k_now - 40s, k_now - 12s};
    });
    fleet.with("echo", [](Wanted&, FoundContainer&, History& history) {
        history.agent_says = "unhealthy: command in a crash loop";
        history.job_runs = true;
    });
    fleet.with("foxtrot", [](Wanted& wanted, FoundContainer&, History& history) {
        history.agent_says = "unhealthy: command in a crash loop";
        wanted.restart_on_unhealthy = false;
    });
    fleet.with("golf", [](Wanted&, FoundContainer& found, History&) {
        found.health = EngineHealth::unhealthy;
        found.health_log = "main loop without a turn for 21 s";
    });
    fleet.healthy("hotel");
    check_golden("ill_health", fleet.plan());
}

TEST_CASE("golden: an emptied folder") {
    Fleet fleet;
    fleet.healthy("alpha")
        .without_conf("bravo")
        .without_conf("charlie")
        .without_conf("delta")
        .without_conf("foxtrot");
    fleet.without_conf("echo",
                       [](Wanted&, FoundContainer&, History& history) { history.job_runs = true; });
    check_golden("emptied_folder", fleet.plan());
    check_golden("emptied_folder_released", fleet.release().plan());
}

TEST_CASE("golden: images that are not there, and what was asked for") {
    Fleet fleet;
    const auto reshaped = [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        history.image = ImageWait{"building image lab/agent:1", k_now - 12s};
    };
    fleet.with("alpha", [](Wanted&, FoundContainer& found, History& history) {
        found.status = Status::removing;  // of the engine's own; what waits is not looked at
        history.image = ImageWait{"building image lab/agent:1", k_now - 12s};
    });
    fleet.with("bravo", reshaped);
    fleet.with("charlie", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        history.image = ImageWait{"image missing: building lab/x:1: returned 1; it is tried again", std::nullopt};
    });
    fleet.with("delta", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        history.image = ImageWait{"building image lab/agent:1", k_now - 12s};
        history.job_runs = true;
    });
    fleet.with("echo", [](Wanted&, FoundContainer&, History& history) {
        history.asked = {Asked::What::restart, false};
        history.job_runs = true;
    });
    fleet.with("foxtrot", [](Wanted&, FoundContainer&, History& history) {
        history.asked = {Asked::What::restart, true};
        history.job_runs = true;
    });
    fleet.with("golf", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.config_hash = "new shape";
        history.asked = {Asked::What::restart, true};
        history.job_runs = true;
    });
    fleet.with("hotel", [](Wanted&, FoundContainer&, History& history) {
        history.asked = {Asked::What::purge, false};
        history.job_runs = true;
    });
    fleet.without_conf("india", [](Wanted&, FoundContainer&, History& history) { history.asked.what = Asked::What::purge; });
    fleet.with("juliett", [](Wanted& wanted, FoundContainer& found, History& history) {
        wanted.kind = Kind::broken;
        ended(found, history, 1);
        history.asked.what = Asked::What::restart;
    });
    fleet.with("kilo", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.delivery_hash = "new files";
        history.image = ImageWait{"loading image lab/agent:1", k_now - 4s};
    });
    check_golden("images_and_orders", fleet.plan());
}

TEST_CASE("golden: the supervisor was upgraded") {
    Fleet fleet;
    fleet.healthy("alpha");
    fleet.with("bravo", [](Wanted&, FoundContainer&, History& history) { history.asked.what = Asked::What::restart; });
    fleet.with("charlie", [](Wanted&, FoundContainer&, History& history) {
        history.asked.what = Asked::What::restart;
        history.job_runs = true;
    });
    fleet.with("delta", [](Wanted&, FoundContainer& found, History& history) { ended(found, history, 1); });
    fleet.with("echo", [](Wanted&, FoundContainer& found, History& history) {
        ended(found, history, 137);
        history.ended_unseen = true;
    });
    fleet.with("foxtrot", [](Wanted& wanted, FoundContainer&, History& history) {
        wanted.kind = Kind::broken;
        history.asked.what = Asked::What::restart;
    });
    fleet.with("golf", [](Wanted&, FoundContainer& found, History& history) {
        found.programs = "new";
        ended(found, history, 1);
    });
    fleet.with("hotel", [](Wanted&, FoundContainer&, History& history) {
        history.asked.what = Asked::What::restart;
        history.image = ImageWait{"image missing: lab/agent:1", std::nullopt};
    });
    fleet.with("india", [](Wanted& wanted, FoundContainer& found, History& history) {
        wanted.kind = Kind::broken;
        ended(found, history, 1);
    });
    check_golden("upgrade", fleet.upgrade().plan());
}
