// Init steps, services, renewals and probes of an agent, with real processes and a real web server.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "http_server.hpp"
#include "lab.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::k_nowhere;
using test::Lab;
using test::PrivateAgent;
using test::shell_rules;

namespace {

bool soon(const std::function<bool()>& condition) { return eventually(condition, 60s); }

bool logged(const PrivateAgent& agent, const std::string& part) {
    return soon([&] { return has(agent.log(), part); });
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

std::string text_of(const std::string& path) { return sys::read_file(path, 1 << 20).value_or(""); }

Command shell(const std::string& script) { return {{"/bin/sh", "-c", script}}; }

/// The pid that a service wrote as "up <pid>" behind its label, the newest.
pid_t pid_of(const PrivateAgent& agent, const std::string& label) {
    const auto log = agent.log();
    const auto mark = "[" + label + "] up ";
    const auto at = log.rfind(mark);
    return at == std::string::npos ? 0 : std::atoi(log.c_str() + at + mark.size());
}

bool lives(pid_t pid) { return pid > 0 && ::kill(pid, 0) == 0 && !has(text_of("/proc/" + std::to_string(pid) + "/stat"), ") Z "); }

constexpr const char* k_loop = "echo up $$; while :; do sleep 0.05; done";

}  // namespace

TEST_CASE("init: steps run in order before the command; a job waits for them; none runs again after a restart, all for another build") {
    const test::TempFolder folder;
    const auto trace = folder.path() + "/trace", go = folder.path() + "/go";
    auto rules = shell_rules("echo command >>" + trace + "; exec sleep 1000");
    rules.household.init = {{"one", shell("echo one >>" + trace + "; echo doing; while [ ! -e " + go + " ]; do sleep 0.05; done")},
                            {"two", shell("echo two >>" + trace)}};
    test::PrivateBroker broker;
    {
        PrivateAgent agent(AGENT_ENTRY, broker.url(), rules);
        REQUIRE(logged(agent, "[init one] doing\n"));
        CHECK(soon([&] { return has(agent.heartbeat(), "health degraded\nwhy init one is running"); }));
        std::ofstream(go) << "x";
        CHECK(soon([&] { return text_of(trace) == "one\ntwo\ncommand\n"; }));
        CHECK(soon([&] { return has(agent.heartbeat(), "health ok"); }));
        agent.restart(SIGKILL);
        CHECK(soon([&] { return text_of(trace) == "one\ntwo\ncommand\ncommand\n"; }));
        agent.stop(SIGTERM);
        agent.deliver(rules, "another");
        agent.start();
        CHECK(soon([&] { return text_of(trace) == "one\ntwo\ncommand\ncommand\none\ntwo\ncommand\n"; }));
    }
}

TEST_CASE("init: a failure is unhealthy and never an idle Up, jobs are taken and wait, and it recovers by itself or by reinit") {
    const test::TempFolder folder;
    const auto go = folder.path() + "/go";
    auto rules = shell_rules("echo command; exec sleep 1000");
    rules.household.init = {{"flash", shell("echo try; [ -e " + go + " ] || exit 3")}};
    // The lab waits for `ready`, which an agent with these rules would not say.
    Lab lab(AGENT_ENTRY, shell_rules("echo first; exec sleep 1000"));
    lab.agent->deliver(rules);
    REQUIRE(lab.says("agent", "unhealthy: init flash failed (3)"));
    CHECK(has(lab.agent->heartbeat(), "health unhealthy\nwhy init flash failed (3)"));
    CHECK(std::system((std::string(HEALTHCHECK " --run-dir ") + lab.agent->folder() + "/run >/dev/null").c_str()) != 0);
    CHECK(lab.says("state", "\"state\":\"init\""));
    CHECK(lab.says("submit_status", "busy: init, 0 queued"));
    CHECK(has(lab.ask(R"({"id":"j1","command":"echo hi"})"), "\"status\":\"ok\""));
    CHECK(lab.says("job/j1", "QUEUED"));
    CHECK_FALSE(has(lab.agent->log(), "command\n"));
    REQUIRE(logged(*lab.agent, "try\n[init flash] try\n"));  // by itself
    CHECK(lab.says("job/j1", "QUEUED"));
    std::ofstream(go) << "x";
    lab.publish("alpha/cmd/reinit", "nonsense");
    CHECK(lab.says("res/reinit", "no init step 'nonsense': expected one of flash"));
    lab.publish("alpha/cmd/reinit", "flash");
    CHECK(lab.says("res/reinit", "does again: flash"));
    CHECK(lab.says("job/j1", "SUCCEEDED"));
    CHECK(logged(*lab.agent, "command\n"));
    CHECK(lab.says("agent", "ok"));
    const auto before = count(lab.agent->log(), "[init flash] try");
    lab.publish("alpha/cmd/reinit", "");
    CHECK(soon([&] { return count(lab.agent->log(), "[init flash] try") == before + 1; }));
    CHECK(lab.says("state", "ready"));
}

TEST_CASE("init: reinit waits for the running job, and a job that is granted meanwhile for it") {
    auto rules = shell_rules("exec sleep 1000");
    const test::TempFolder folder;
    const auto trace = folder.path() + "/trace";
    rules.household.init = {{"one", shell("echo init >>" + trace)}};
    Lab lab(AGENT_ENTRY, rules);
    CHECK(has(lab.ask(R"({"id":"j1","command":"echo in >>)" + trace + R"(; sleep 1; echo out >>)" + trace + R"("})"), "ok"));
    REQUIRE(soon([&] { return has(text_of(trace), "in\n"); }));
    lab.publish("alpha/cmd/reinit", "");
    CHECK(has(lab.ask(R"({"id":"j2","command":"echo next >>)" + trace + R"("})"), "ok"));
    CHECK(lab.says("job/j2", "SUCCEEDED"));
    CHECK(text_of(trace) == "init\nin\nout\ninit\nnext\n");
}

TEST_CASE("init: an agent that dies around a step does it again unless it is marked") {
    const std::pair<const char*, const char*> rows[] = {{"1 init: not spawned", "one\ntwo\n"},
                                                        {"1 init: not marked", "one\none\ntwo\n"},
                                                        {"1 init: marked", "one\ntwo\n"},
                                                        {"2 init: not marked", "one\ntwo\ntwo\n"}};
    for (const auto& [point, after] : rows) {
        CAPTURE(point);
        const test::TempFolder folder;
        const auto trace = folder.path() + "/trace";
        auto rules = shell_rules("echo command; exec sleep 1000");
        rules.household.init = {{"one", shell("echo one >>" + trace)}, {"two", shell("echo two >>" + trace)}};
        PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules, point);
        REQUIRE(soon([&] { return agent.ended() == 137; }));
        agent.start();
        CHECK(logged(agent, "command\n"));
        CHECK(text_of(trace) == after);
    }
}

TEST_CASE("init: a mark that cannot be written is said and tried again; the step is not done again for that") {
    const test::TempFolder folder;
    const auto trace = folder.path() + "/trace";
    auto rules = shell_rules("echo command; exec sleep 1000");
    // Before its end the step puts a file where the folder of the marks is to be.
    rules.household.init = {{"one", shell("echo one >>" + trace + "; rm -rf \"$STATE/household\"; touch \"$STATE/household\"")}};
    rules.household.services = {{"x", shell(k_loop)}};
    test::PrivateBroker broker;
    PrivateAgent agent(AGENT_ENTRY, broker.url(), shell_rules("echo first; exec sleep 1000"));
    REQUIRE(logged(agent, "first\n"));
    rules.env["STATE"] = agent.folder() + "/state";
    agent.deliver(rules);
    CHECK(logged(agent, "command\n"));
    CHECK(soon([&] { return has(agent.heartbeat(), "health degraded\nwhy an init step is done, but would be done again: "); }));
    std::filesystem::remove(agent.folder() + "/state/household");
    CHECK(soon([&] { return has(agent.heartbeat(), "health ok"); }));
    CHECK(text_of(trace) == "one\n");
    agent.restart(SIGTERM);
    CHECK(soon([&] { return count(agent.log(), "command\n") == 2; }));
    CHECK(text_of(trace) == "one\n");
}

TEST_CASE("init: a stop during a step is prompt, and the step is done again") {
    const test::TempFolder folder;
    const auto trace = folder.path() + "/trace";
    auto rules = shell_rules("exec sleep 1000");
    rules.timeouts.stop = 300ms;
    rules.household.init = {{"stubborn", shell("echo up $$; echo run >>" + trace + "; trap '' TERM; while :; do sleep 0.05; done")}};
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    REQUIRE(soon([&] { return pid_of(agent, "init stubborn") > 0; }));
    const auto pid = pid_of(agent, "init stubborn");
    agent.restart(SIGTERM);
    CHECK_FALSE(lives(pid));
    CHECK(soon([&] { return text_of(trace) == "run\nrun\n"; }));
}

TEST_CASE("services: output with their names; one that dies comes back, one in a crash loop is named and stops nothing") {
    auto rules = shell_rules("echo command up; exec sleep 1000");
    rules.household.services = {{"good", shell(k_loop)}, {"bad", shell("echo no; exit 9")}, {"missing", {{"/no/such/program"}}}};
    Lab lab(AGENT_ENTRY, rules);
    auto& agent = *lab.agent;
    REQUIRE(logged(agent, "command up\n"));
    REQUIRE(soon([&] { return pid_of(agent, "good") > 0; }));
    CHECK(logged(agent, "[bad] no\n"));
    CHECK(soon([&] { return has(agent.heartbeat(), "service bad ended (9)") && has(agent.heartbeat(), "service missing ended (127)"); }));
    CHECK(lab.says("agent", "degraded: service bad"));
    CHECK(has(lab.ask(R"({"id":"j","command":"true"})"), "ok"));
    CHECK(lab.says("job/j", "SUCCEEDED"));
    const auto first = pid_of(agent, "good");
    ::kill(first, SIGKILL);
    CHECK(soon([&] { return pid_of(agent, "good") != first && lives(pid_of(agent, "good")); }));
    CHECK(soon([&] { return has(agent.heartbeat(), "service bad in a crash loop: ended 5 times"); }));
    CHECK(has(agent.heartbeat(), "health degraded"));
    CHECK(has(agent.log(), "command up\n"));
}

TEST_CASE("services: a reload adds, changes and removes, and touches no other; a stop ends all, also what ignores TERM") {
    auto rules = shell_rules("echo command up; exec sleep 1000");
    rules.timeouts.stop = 300ms;
    // One leaves its process group: it has to go all the same when its service goes.
    rules.household.services = {{"same", shell(k_loop)}, {"other", shell(k_loop)}, {"gone", shell("setsid sleep 1001 & echo child $!; " + std::string(k_loop))}};
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    for (const auto* name : {"same", "other", "gone"}) REQUIRE(soon([&] { return pid_of(agent, name) > 0; }));
    const auto same = pid_of(agent, "same"), other = pid_of(agent, "other"), gone = pid_of(agent, "gone");
    const auto log = agent.log();
    const pid_t child = std::atoi(log.c_str() + log.find("[gone] child ") + 13);
    REQUIRE(lives(child));
    rules.household.services = {{"same", shell(k_loop)}, {"other", shell("trap '' TERM; " + std::string(k_loop))}, {"new", shell(k_loop)}};
    agent.deliver(rules);
    CHECK(soon([&] { return !lives(other) && !lives(gone) && !lives(child) && lives(pid_of(agent, "new")); }));
    CHECK(soon([&] { return pid_of(agent, "other") != other && lives(pid_of(agent, "other")); }));
    CHECK(pid_of(agent, "same") == same);
    CHECK(lives(same));
    CHECK(count(agent.log(), "command up") == 1);
    const auto stubborn = pid_of(agent, "other");
    agent.stop(SIGTERM);
    CHECK_FALSE(lives(same));
    CHECK_FALSE(lives(stubborn));
}

TEST_CASE("renewals: at the start and every so often; a failure is unhealthy, on the bus, and tried again sooner") {
    const test::TempFolder folder;
    const auto go = folder.path() + "/go";
    auto rules = shell_rules("exec sleep 1000");
    rules.household.renewals = {{"often", shell("echo fresh"), 1s}, {"token", shell("echo cannot; [ -e " + go + " ] || exit 4"), 1h}};
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(lab.says("credential/token", "state: error | time: "));
    CHECK(has(lab.get("credential/token"), "renew token failed (4)"));
    CHECK(lab.says("agent", "unhealthy: renew token failed (4)"));
    CHECK(lab.says("state", "ready"));  // jobs go on
    CHECK(soon([&] { return count(lab.agent->log(), "[renew often] fresh") >= 3; }));
    CHECK(lab.says("credential/often", "state: ok | time: "));
    std::ofstream(go) << "x";
    CHECK(lab.says("credential/token", "state: ok"));  // long before its hour
    CHECK(lab.says("agent", "ok"));
    rules.household.renewals.pop_back();
    lab.agent->deliver(rules);
    CHECK(soon([&] { return lab.get("credential/token").empty(); }));
}

TEST_CASE("probes: what servers do, each on its own topic in its own time") {
    const test::HttpServer server;
    auto rules = shell_rules("exec sleep 1000");
    const auto probe = [&](const std::string& path, std::chrono::milliseconds timeout) {
        rules.household.probes.push_back({"p" + path.substr(1), server.url(path), 1h, timeout});
    };
    for (const auto* path : {"/hang", "/drip"}) probe(path, 1500ms);
    for (const auto* path : {"/ok", "/500", "/close", "/cut", "/garbage", "/nostatus", "/endless", "/loop", "/file"}) probe(path, 30s);
    rules.household.probes.push_back({"nobody", "http://127.0.0.1:1/", 1h, 30s});
    rules.household.probes.push_back({"noname", "http://no-such-host.invalid/", 1h, 30s});
    rules.household.probes.push_back({"plain", "https" + server.url("/ok").substr(4), 1h, 30s});
    Lab lab(AGENT_ENTRY, rules);
    CHECK(lab.says("pok", "state: ok | resp_t: 0.0"));
    CHECK(lab.says("p500", "state: error | resp_t: 0.0"));
    CHECK(has(lab.get("p500"), "| HTTP 500"));
    CHECK(lab.says("pclose", "state: error"));
    CHECK(lab.says("pcut", "state: error"));
    CHECK(lab.says("pgarbage", "state: error"));
    CHECK(lab.says("pnostatus", "state: error"));
    CHECK(lab.says("pendless", "state: ok"));
    CHECK(lab.says("ploop", "state: error"));
    CHECK(lab.says("pfile", "state: error"));
    CHECK(lab.says("nobody", "state: error"));
    CHECK(lab.says("noname", "state: error"));
    CHECK(lab.says("plain", "state: error"));
    CHECK(lab.says("phang", "state: timeout | resp_t: 1.5"));
    CHECK(lab.says("pdrip", "state: timeout | resp_t: 1.5"));
    CHECK(lab.says("agent", "ok"));  // a probe is no part of the agent's health
    rules.household.probes = {{"pok", server.url("/500"), 1s, 1s}};
    lab.agent->deliver(rules);
    CHECK(lab.says("pok", "HTTP 500"));
    CHECK(soon([&] { return lab.get("phang").empty() && lab.get("nobody").empty(); }));
    const auto asked = server.asked();
    CHECK(soon([&] { return server.asked() >= asked + 3; }));
}

TEST_CASE("probes: a topic that left the conf while the agent was down is cleared; a probe that hangs delays no stop") {
    const test::HttpServer server;
    auto rules = shell_rules("exec sleep 1000");
    rules.household.probes = {{"ok", server.url("/ok"), 1h, 30s}, {"slow", server.url("/hang"), 1h, 1h}};
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(lab.says("ok", "state: ok"));
    REQUIRE(soon([&] { return server.asked() == 2; }));
    const auto start = std::chrono::steady_clock::now();
    lab.agent->stop(SIGTERM);
    CHECK(std::chrono::steady_clock::now() - start < 25s);
    CHECK(has(lab.get("ok"), "state: ok"));
    rules.household.probes.clear();
    lab.agent->deliver(rules);
    // A job can write there what it likes.
    std::ofstream(lab.agent->folder() + "/state/household/levels", std::ios::app) << "#\n+/x\nsubmit_status\n\nok\n../..\n";
    lab.agent->start();
    CHECK(soon([&] { return lab.get("ok").empty(); }));
    CHECK(lab.says("agent", "ok"));
    CHECK(lab.says("submit_status", "ready"));
}

TEST_CASE("probes: http-probe that is stopped, killed or not there harms nobody") {
    const test::HttpServer server;
    auto rules = shell_rules("exec sleep 1000");
    rules.household.probes = {{"slow", server.url("/hang"), 1h, 500ms}, {"fine", server.url("/ok"), 1s, 5s}};
    const test::TempFolder folder;
    const auto copy = folder.path() + "/agent-entry";
    std::filesystem::copy_file(AGENT_ENTRY, copy);
    Lab lab(copy, rules);
    CHECK(lab.says("fine", "state: error | resp_t: 0.00 sec | http-probe cannot be started: "));
    const auto put = [&](const std::string& script) {
        std::ofstream(folder.path() + "/new") << "#!/bin/sh\n" << script << "\n";
        std::filesystem::permissions(folder.path() + "/new", std::filesystem::perms::all);
        std::filesystem::rename(folder.path() + "/new", folder.path() + "/http-probe");
    };
    put("echo 'state: ok | resp_t: 7 sec'; kill -9 $$");
    CHECK(lab.says("fine", "state: ok | resp_t: 7 sec"));
    put("kill -9 $$");
    CHECK(lab.says("fine", "http-probe ended with 137"));
    put("yes; exit 0");  // more than a pipe takes: it is stopped by its own time
    CHECK(lab.says("fine", "state: timeout | resp_t: 7."));
    put("printf '\\377\\n\\000state: ok'");
    CHECK(lab.says("fine", "http-probe ended with 0"));
    CHECK(lab.says("agent", "ok"));
}

TEST_CASE("none stops another: a hung step, a crash loop, a hung renewal and hung probes at once, and a job runs all the same") {
    const test::HttpServer server;
    auto rules = shell_rules("echo up; exec sleep 1000");
    rules.timeouts.stop = 500ms;
    rules.household.services = {{"bad", shell("exit 1")}, {"good", shell(k_loop)}};
    rules.household.renewals = {{"hung", shell("trap '' TERM; while :; do sleep 0.1; done"), 1s}, {"fine", shell("echo fresh"), 1s}};
    for (int i = 0; i < 10; ++i) rules.household.probes.push_back({"h" + std::to_string(i), server.url("/hang"), 1s, 1h});
    rules.household.probes.push_back({"fine", server.url("/ok"), 1s, 5s});
    Lab lab(AGENT_ENTRY, rules);
    CHECK(lab.says("fine", "state: ok"));
    CHECK(lab.says("credential/fine", "state: ok"));
    CHECK(has(lab.ask(R"({"id":"j","command":"echo done"})"), "ok"));
    CHECK(lab.says("job/j", "SUCCEEDED"));
    rules.household.init = {{"hung", shell("sleep 1000")}};
    lab.agent->deliver(rules);
    CHECK(lab.says("state", "\"init\""));
    CHECK(soon([&] { return count(lab.agent->log(), "[renew fine] fresh") >= 3; }));
    CHECK(lives(pid_of(*lab.agent, "good")));
    CHECK(count(lab.agent->log(), "up\n") >= 1);
    const auto start = std::chrono::steady_clock::now();
    lab.agent->stop(SIGTERM);
    CHECK(std::chrono::steady_clock::now() - start < 10s);
}
