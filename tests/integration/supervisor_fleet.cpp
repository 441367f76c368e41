// The supervisor's program with an engine that answers as a real one seldom does.
#include <doctest/doctest.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "mqtt/session.hpp"
#include "private_supervisor.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using Fault = test::FakeEngine::Fault;

namespace {

/// Not on the bus, and so never missed there.
constexpr auto k_conf = "description: a lab device\nhealth: {max_age: 1d}\n";

std::string name(int i) { return "sut" + std::to_string(i); }

struct Lab : test::PrivateSupervisor {
    explicit Lab(int suts) : PrivateSupervisor(SUPERVISOR) {
        for (int i = 0; i < suts; ++i) write_conf(name(i), k_conf);
    }
    void end(int by) {
        signal(by);
        REQUIRE(eventually([&] { return !runs(); }));
    }
    bool all_run(std::size_t count) {
        return eventually([&] { return engine.running() == count; }, 60s);
    }
    /// Nothing more is asked of the engine, but for the list now and then.
    bool quiet() {
        for (int i = 0; i < 100; ++i) {
            const auto before = engine.all_asked() - engine.asked("list");
            std::this_thread::sleep_for(500ms);
            if (engine.all_asked() - engine.asked("list") == before) return true;
        }
        return false;
    }
};

sys::UniqueFd connect_to(const std::string& path) {
    sys::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const timeval limit{20, 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
    return fd;
}

std::string scrape(const std::string& path) {
    const auto fd = connect_to(path);
    constexpr std::string_view k_request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    if (!fd || ::send(fd.get(), k_request.data(), k_request.size(), MSG_NOSIGNAL) < 0) return {};
    std::string out;
    char part[4096];
    for (ssize_t got = 0; (got = ::recv(fd.get(), part, sizeof part, 0)) > 0;) out.append(part, static_cast<std::size_t>(got));
    return out;
}

}  // namespace

TEST_CASE("supervisor: refused, cut off and hanging answers for some SUTs delay no other, and heal") {
    Lab lab(40);
    const std::map<std::string, Fault> faults{{"sut1", Fault::hangs},    {"sut2", Fault::hangs},   {"sut3", Fault::refused},
                                              {"sut4", Fault::conflict}, {"sut5", Fault::cut_off}, {"sut6", Fault::not_found}};
    for (const auto& [sut, fault] : faults) lab.engine.fail(sut, fault);
    lab.start();
    CHECK(lab.all_run(34));
    CHECK(lab.engine.hanging() == 2);
    CHECK(eventually([&] { return lab.engine.asked("failed", "sut3") >= 3; }, 30s));
    CHECK(lab.runs());
    for (const auto* sut : {"sut1", "sut2", "sut3", "sut4", "sut5", "sut6"}) lab.engine.fail(sut, Fault::none);
    CHECK(lab.all_run(40));
    CHECK(lab.quiet());
    CHECK(lab.engine.asked("create", "sut0") == 1);
}

TEST_CASE("supervisor: looks at one container that hang or fail hold up no other SUT, and are made again") {
    Lab lab(10);
    lab.start();
    REQUIRE(lab.all_run(10));
    REQUIRE(lab.quiet());
    for (const auto* sut : {"sut1", "sut2", "sut3"}) lab.engine.blind(sut, Fault::hangs);
    lab.engine.blind("sut4", Fault::refused);
    lab.engine.blind("sut5", Fault::cut_off);
    for (int i = 1; i < 10; ++i) lab.engine.end(name(i), 1);
    CHECK(eventually([&] { return lab.engine.runs("sut6") && lab.engine.runs("sut7") && lab.engine.runs("sut8") && lab.engine.runs("sut9"); }));
    for (int i = 1; i < 6; ++i) lab.engine.blind(name(i), Fault::none);
    CHECK(lab.all_run(10));
    CHECK(lab.runs());
}

TEST_CASE("supervisor: a change looks at its own container and at nothing else") {
    Lab lab(30);
    lab.start();
    REQUIRE(lab.all_run(30));
    REQUIRE(lab.quiet());
    const auto before = lab.engine.all_asked() - lab.engine.asked("list");
    const auto looks = lab.engine.asked("inspect", "sut7");
    lab.engine.nudge("sut7");
    CHECK(eventually([&] { return lab.engine.asked("inspect", "sut7") == looks + 1; }));
    CHECK(lab.quiet());
    CHECK(lab.engine.all_asked() - lab.engine.asked("list") == before + 1);
    const auto others = [&] {
        std::size_t sum = 0;
        for (int i = 0; i < 30; ++i)
            if (i != 9) sum += lab.engine.asked("inspect", name(i));
        return sum;
    };
    const auto untouched = others();
    const auto helpers = lab.engine.asked("create");
    lab.write_conf("sut9", std::string(k_conf) + "env: {A: b}\n");
    CHECK(eventually([&] { return lab.engine.asked("create") == helpers + 1; }));  // the helper of its delivery
    CHECK(lab.quiet());
    CHECK(others() == untouched);
    lab.remove_conf("sut9");
    CHECK(eventually([&] { return lab.engine.running() == 29; }));
    CHECK(lab.quiet());
    CHECK(others() == untouched);
}

TEST_CASE("supervisor: what ended while no event could be heard is found once they are heard again") {
    Lab lab(10);
    lab.start();
    REQUIRE(lab.all_run(10));
    REQUIRE(lab.quiet());
    const auto looks = lab.engine.asked("inspect", "sut4");
    lab.engine.end("sut3", 1, false);
    const auto lists = lab.engine.asked("list");
    lab.engine.break_events();
    CHECK(lab.all_run(10));
    CHECK(lab.engine.asked("list") > lists);
    CHECK(lab.quiet());
    CHECK(lab.engine.asked("inspect", "sut4") == looks);  // the list says the same of it as before
}

TEST_CASE("supervisor: what ended while no supervisor was there is started at once, however often: an engine that is killed takes both") {
    Lab lab(2);
    lab.start();
    REQUIRE(lab.all_run(2));
    for (int i = 0; i < 7; ++i) {
        lab.end(SIGKILL);
        lab.engine.end("sut0", 143);
        lab.start();
        REQUIRE_MESSAGE(lab.all_run(2), lab.log());
    }
    CHECK_FALSE(has(lab.log(), "quarantine"));
    CHECK(has(lab.log(), "sut=sut0 start: it ended while the engine or the supervisor was away"));
    // One that ends by itself counts all the same.
    lab.engine.end("sut0", 1);
    REQUIRE(eventually([&] { return has(lab.log(), "sut=sut0 start: the container ended with 1"); }));
    REQUIRE(lab.all_run(2));  // it was only begun
    lab.engine.end("sut0", 1);
    std::this_thread::sleep_for(3s);  // of the 10 that it has to wait
    CHECK_FALSE(lab.engine.runs("sut0"));
}

TEST_CASE("supervisor: what ended while no supervisor was there, and ends at once whenever it is started, waits as any other") {
    Lab lab(1);
    lab.start();
    REQUIRE(lab.all_run(1));
    lab.end(SIGKILL);
    lab.engine.end("sut0", 1);
    lab.engine.end_at_once("sut0", 7);
    lab.start();
    CHECK(eventually([&] { return has(lab.log(), "sut=sut0 start: the container ended with 7"); }, 60s));
    std::this_thread::sleep_for(3s);  // of the 10 that it has to wait
    CHECK(lab.engine.asked("start", "sut0") == 3);
}

TEST_CASE("supervisor: a close look whose answer comes after that of a later list is not forgotten for it") {
    Lab lab(1);
    lab.start();
    REQUIRE(lab.all_run(1));
    lab.end(SIGKILL);
    lab.engine.end("sut0", 143);
    lab.engine.blind("sut0", Fault::late);
    lab.start();
    REQUIRE(eventually([&] { return lab.engine.hanging() == 1; }));
    const auto lists = lab.engine.asked("list");
    lab.engine.break_events();
    REQUIRE(eventually([&] { return lab.engine.asked("list") > lists; }));
    std::this_thread::sleep_for(1s);  // until it is noted
    lab.engine.blind("sut0", Fault::none);
    CHECK(lab.all_run(1));
}

TEST_CASE("supervisor: one that has made no container delivers with the build that the agent has: its init is not done again") {
    Lab lab(1);
    lab.start();
    REQUIRE(lab.all_run(1));
    REQUIRE(lab.quiet());
    const auto delivered = [&](const std::string& text) { return eventually([&] { return has(lab.engine.archive_put("lab-sut0-conf"), text); }); };
    REQUIRE(delivered(R"("build": "test")"));
    lab.end(SIGKILL);
    lab.set_programs("newer");
    lab.start();
    lab.write_conf("sut0", std::string(k_conf) + "env: {CHANGED: is-new}\n");
    REQUIRE(delivered("is-new"));
    CHECK(delivered(R"("build": "test")"));
    lab.engine.end("sut0", 1);
    CHECK(delivered(R"("build": "newer")"));  // which it is made anew with
}

TEST_CASE("supervisor: the programs are delivered again when their volume is gone, before a container would be made with an empty one") {
    Lab lab(1);
    lab.start();
    REQUIRE(lab.all_run(1));
    const auto puts_for = [&](const std::string& sut, std::size_t running) {
        const auto before = lab.engine.asked("archive");
        lab.write_conf(sut, k_conf);
        REQUIRE(lab.all_run(running));
        return lab.engine.asked("archive") - before;
    };
    const auto usual = puts_for("sut1", 2);
    lab.engine.keep_no_volume("lab-programs-test");
    CHECK(puts_for("sut2", 3) == usual + 1);
}

TEST_CASE("supervisor: its metrics follow the fleet, and a client that says nothing holds up no other for long") {
    Lab lab(5);
    lab.engine.fail("sut1", Fault::refused);
    lab.start();
    REQUIRE(lab.all_run(4));
    const auto says = [&](const std::string& line) { return eventually([&] { return has(scrape(lab.metrics_socket()), "\n" + line + "\n"); }); };
    CHECK(says("sutfleet_agents{state=\"running\"} 4"));
    CHECK(says("sutfleet_suts 5"));
    CHECK(says("sutfleet_broker_connected 1"));
    CHECK(says("sutfleet_engine_up 1"));
    const auto failures = [&] {
        constexpr std::string_view k_failures = "action_failures_total{action=\"create\"} ";
        const auto text = scrape(lab.metrics_socket());
        const auto at = text.find(k_failures);
        return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + k_failures.size());
    };
    CHECK(eventually([&] { return failures() > 0; }));
    const auto silent = connect_to(lab.metrics_socket());
    REQUIRE(silent);
    CHECK(has(scrape(lab.metrics_socket()), "200 OK"));
    lab.engine.end("sut2", 1);
    CHECK(says("sutfleet_agent_restarts_total 1"));
}

TEST_CASE("supervisor: what is under way when it is told to end is told, and the next one knows it; what hangs does not keep it from its last word") {
    Lab lab(2);
    const auto wake = *sys::Wake::open();
    mqtt::SessionOptions options;
    options.url = lab.broker.url();
    options.client_id = "test";
    options.subscriptions = {{"fleet/#", 1, true}};
    const auto session = mqtt::Session::open(std::move(options), wake);
    std::map<std::string, std::string> heard;
    const auto says = [&](const std::string& topic, const std::string& text) {
        return eventually([&] {
            for (auto& message : session->drain().messages) heard[message.topic] = message.payload;
            return has(heard[topic], text);
        }, 30s);
    };
    for (const auto* sut : {"sut0", "sut1"}) lab.engine.fail(sut, Fault::hangs);
    lab.start();
    REQUIRE(eventually([&] { return lab.engine.hanging() == 2; }, 60s));
    REQUIRE(says("fleet/supervisor", "online"));
    lab.signal(SIGTERM);
    lab.engine.fail("sut0", Fault::none);
    CHECK(says("fleet/supervisor", "offline"));
    CHECK(lab.engine.hanging() == 1);
    CHECK(has(heard["fleet/sut/sut0"], R"("what":"create")"));
    lab.engine.fail("sut1", Fault::none);
    REQUIRE(eventually([&] { return !lab.runs(); }));
    lab.start();
    REQUIRE(lab.all_run(2));
    CHECK(says("fleet/sut/sut0", R"("result":"ok"},{"at")"));  // newest first
}

TEST_CASE("supervisor: its upgrade touches no agent; one that ends is made anew with the new programs, once") {
    Lab lab(3);
    lab.start();
    REQUIRE(lab.all_run(3));
    REQUIRE(lab.quiet());
    lab.end(SIGTERM);
    lab.set_programs("newer");
    const auto lists = lab.engine.asked("list");
    lab.start();
    REQUIRE(eventually([&] { return lab.engine.asked("list") > lists; }));
    REQUIRE(lab.quiet());
    for (int i = 0; i < 3; ++i) {
        CHECK(lab.engine.asked("create", name(i)) == 1);
        CHECK(lab.engine.asked("start", name(i)) == 1);
    }
    lab.engine.end("sut0", 1);
    REQUIRE(eventually([&] { return lab.engine.asked("create", "sut0") == 2 && lab.engine.runs("sut0"); }));
    REQUIRE(lab.quiet());
    lab.engine.end("sut0", 1);
    REQUIRE(eventually([&] { return lab.engine.asked("start", "sut0") == 3; }, 60s));
    CHECK(lab.engine.asked("create", "sut0") == 2);
    CHECK(lab.engine.asked("create", "sut1") == 1);
}
