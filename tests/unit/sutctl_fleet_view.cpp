#include <doctest/doctest.h>

#include "fleet_view.hpp"

using namespace sutfleet;
using namespace sutfleet::ctl;

namespace {

std::string shown(const FleetView& fleet) {
    const Screen screen(Color::never);
    return render_table(screen, fleet.table(*parse_rfc3339("2026-01-31T12:00:00.000Z")));
}

}  // namespace

TEST_CASE("sutctl ps: a fleet as its topics tell it") {
    FleetView fleet{Topics{}};
    fleet.hear("fleet/supervisor", "online");
    fleet.hear("alpha/agent", "ok");
    fleet.hear("alpha/state", R"({"state":"busy"})");
    fleet.hear("alpha/jobs", R"({"running":"j7","queued":["a","b"],"done":[]})");
    fleet.hear(
        "fleet/sut/alpha",
        R"({"wanted":"running","description":"a board","restarts":1,"container":{"status":"running","health":"healthy","image":"lab:1","started":"2026-01-31T09:00:00.123456789Z"},"conf":{"error":null}})");
    fleet.hear("bravo/agent", "unhealthy: main loop stuck");
    fleet.hear("fleet/sut/charlie",
               R"({"wanted":"error","conf":{"error":"charlie.conf:1:1: bad"}})");
    fleet.hear("fleet/state", "{}");
    CHECK(fleet.supervisor() == "online");
    CHECK(fleet.names() == std::vector<std::string>{"alpha", "bravo", "charlie"});
    CHECK(shown(fleet) ==
          "SUT      STATE  HEALTH     JOB  QUEUED  UP  IMAGE  WHY\n"
          "alpha    busy   ok         j7   2       2h  lab:1  a board\n"
          "bravo    -      unhealthy  -    0       -   -      main loop stuck\n"
          "charlie  -      -          -    0       -   -      conf error: charlie.conf:1:1: bad\n");
}

TEST_CASE("sutctl ps: of an agent that does not run, what it waits for") {
    FleetView fleet{Topics{}};
    fleet.hear("alpha/agent", "offline");
    fleet.hear("fleet/sut/alpha", R"({"health":"down","why":"the container does not run","hold":"quarantined: release by resume"})");
    fleet.hear("bravo/agent", "offline");
    fleet.hear("fleet/sut/bravo", R"({"health":"down","why":"the container does not run"})");
    CHECK(shown(fleet).find("quarantined: release by resume\n") != std::string::npos);
    CHECK(shown(fleet).find("the container does not run\n") != std::string::npos);
}

TEST_CASE("sutctl ps: what the supervisor sees counts where the agent cannot speak for itself") {
    FleetView fleet{Topics{}};
    fleet.hear("alpha/agent", "ok");
    fleet.hear("fleet/sut/alpha",
               R"({"health":"paused","why":"the container is paused","quarantined":true})");
    CHECK(shown(fleet).find("alpha  quarantined  paused  -    0       -   -      the "
                            "container is paused\n") != std::string::npos);
}

TEST_CASE("sutctl ps: nonsense on the bus does no harm") {
    FleetView fleet{Topics{}};
    fleet.hear("alpha/agent", "ok\x1b[2J");
    fleet.hear("alpha/jobs", "[1,{");
    fleet.hear("alpha/state", "7");
    fleet.hear("fleet/sut/alpha", R"({"container":"x","restarts":{"a":1}})");
    fleet.hear("fleet/sut/gone", "{}");
    fleet.hear("fleet/sut/gone", "");
    CHECK(shown(fleet).find('\x1b') == std::string::npos);
    CHECK(fleet.names() == std::vector<std::string>{"alpha"});
    CHECK(fleet.json_lines().size() == 1);
}

TEST_CASE("sutctl ps: how long an agent is up, of every form of the engine's times") {
    const auto now = *parse_rfc3339("2026-01-31T12:00:00.000Z");
    CHECK(age_of("2026-01-31T11:59:15Z", now) == "45s");
    CHECK(age_of("2026-01-31T11:29:00.5Z", now) == "30m");
    CHECK(age_of("2026-01-31T07:00:00.123456789Z", now) == "4h");
    CHECK(age_of("2026-01-20T12:00:00Z", now) == "11d");
    CHECK(age_of("2026-01-31T12:00:05Z", now) == "0s");  // clocks differ a little
    for (const auto* none : {"0001-01-01T00:00:00Z", "", "Z", ".", "x.Z", "2026-01-31", "3026-01-31T12:00:00Z"})
        CHECK_MESSAGE(age_of(none, now).empty(), std::string(none));
}

TEST_CASE("sutctl: colour only where it is wanted") {
    CHECK(Screen(Color::always, false, true).paint(Tone::good, "x") == "\033[32mx\033[0m");
    CHECK(Screen(Color::automatic, true, false).paint(Tone::bad, "x") == "\033[31mx\033[0m");
    CHECK(Screen(Color::automatic, true, true).paint(Tone::bad, "x") == "x");
    CHECK(Screen(Color::automatic, false, false).paint(Tone::bad, "x") == "x");
}
