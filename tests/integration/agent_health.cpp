// Health: each condition, broken for itself in a running agent, is seen where a person looks (healthcheck, `agent`, `state`);
// and what is no trouble of the agent's does not make it unhealthy.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "conf/agent_conf.hpp"
#include "core/heartbeat.hpp"
#include "core/timestamp.hpp"
#include "frozen_thread.hpp"
#include "heartbeat_writer.hpp"
#include "lab.hpp"
#include "private_broker.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::k_nowhere;
using test::FrozenThread;
using test::Lab;
using test::PrivateAgent;
using test::shell_rules;

namespace {

struct Probe {
    int code = -1;
    std::string said;
};

Probe probe(const PrivateAgent& agent) {
    const auto command = std::string(HEALTHCHECK " --run-dir ") + agent.folder() + "/run";
    std::FILE* pipe = ::popen(command.c_str(), "re");
    REQUIRE(pipe != nullptr);
    Probe out;
    std::array<char, 2048> text{};
    while (std::fgets(text.data(), text.size(), pipe) != nullptr) out.said += text.data();
    out.code = WEXITSTATUS(::pclose(pipe));
    return out;
}

bool probe_says(const PrivateAgent& agent, int code, const std::string& part) {
    const bool said = eventually([&] { const auto got = probe(agent); return got.code == code && has(got.said, part); }, 60s);
    if (!said) MESSAGE("the last probe said: " << probe(agent).said);
    return said;
}

/// Asks again and again. @return what a failed probe said; empty: none failed
std::string failed_within(const PrivateAgent& agent, std::chrono::seconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    std::string out;
    eventually([&] {
        if (const auto got = probe(agent); got.code != 0) out += got.said;
        return std::chrono::steady_clock::now() > until;
    }, time + 20s);
    return out;
}

/// Quick ones, so that a test need not wait long.
AgentRules quick(AgentRules rules, std::chrono::milliseconds max_age = 2s) {
    rules.health.heartbeat = 200ms;
    rules.health.max_age = max_age;
    return rules;
}

/// The three places where a person looks.
bool unhealthy_everywhere(Lab& lab, const std::string& why) {
    const bool everywhere = probe_says(*lab.agent, 1, why) && lab.says("agent", "unhealthy: " + why) && lab.says("state", "\"why\":\"" + why);
    CHECK_FALSE(has(lab.get("agent"), "\n"));
    const auto said = probe(*lab.agent).said;
    CHECK(said.find('\n') + 1 == said.size());
    return everywhere;
}

bool ok_everywhere(Lab& lab) {
    return probe_says(*lab.agent, 0, "ok: ") && eventually([&] { return lab.get("agent") == "ok"; }, 60s) && lab.says("state", "\"why\":\"\"");
}

void write_conf(const Lab& lab, const AgentRules& rules) {
    const AgentConf conf{*SutName::parse("alpha"), "test", lab.broker.url(), "", "b", rules};
    REQUIRE(sys::write_file_atomic(lab.agent->folder() + "/conf/.g1/agent.json", encode_agent_conf(conf), 0600, sys::Durability::fast));
}

/// A subprocess that says each line that is appended to a file.
struct Parrot {
    test::TempFolder folder;
    [[nodiscard]] std::string script() const {
        return "echo up; touch " + file() + "; exec tail -n +1 -f " + file();
    }
    void say(const std::string& text) const { std::ofstream(file(), std::ios::app) << text << std::flush; }
    [[nodiscard]] std::string file() const { return folder.path() + "/said"; }
};

/// A program that is started by way of a shell script; `how` goes on with "$@".
std::string wrapper(const test::TempFolder& folder, const std::string& how) {
    const auto path = folder.path() + "/wrapped";
    std::ofstream(path) << "#!/bin/sh\n" << how << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
}

/// A pipe that a process may open to write, and that is read when the test says so.
sys::UniqueFd unread_pipe(const std::string& path, int bytes) {
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    sys::UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    REQUIRE(fd);
    ::fcntl(fd.get(), F_SETPIPE_SZ, bytes);
    return fd;
}

}  // namespace

TEST_CASE("health: a main loop that hangs is found by the probe, and the agent falls silent") {
    Lab lab(AGENT_ENTRY, quick(shell_rules("exec sleep 1000")));
    REQUIRE(ok_everywhere(lab));
    {
        const FrozenThread frozen(lab.agent->pid(), "agent-entry");
        CHECK(probe_says(*lab.agent, 1, "the main loop has not moved for "));
        CHECK(lab.get("agent") == "ok");  // and nothing new comes there
    }
    CHECK(ok_everywhere(lab));
}

TEST_CASE("health: a pump that hangs is unhealthy, wherever one looks") {
    Lab lab(AGENT_ENTRY, quick(shell_rules("exec sleep 1000")));
    REQUIRE(ok_everywhere(lab));
    {
        const FrozenThread frozen(lab.agent->pid(), "pump");
        CHECK(unhealthy_everywhere(lab, "the output pump has not moved for "));
    }
    CHECK(ok_everywhere(lab));
}

TEST_CASE("health: a heartbeat that is not written is unhealthy") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, quick(shell_rules("exec sleep 1000")));
    REQUIRE(probe_says(agent, 0, ""));
    const FrozenThread frozen(agent.pid(), "heartbeat");
    CHECK(probe_says(agent, 1, "no heartbeat for "));
}

TEST_CASE("health: a crash loop is unhealthy, and how it ended is said") {
    Lab lab(AGENT_ENTRY, quick(shell_rules("exit 3")));
    CHECK(unhealthy_everywhere(lab, "command in a crash loop: ended 5 times in 10 min, last with 3"));
}

TEST_CASE("health: silence is unhealthy where the conf says so, until there is output") {
    const Parrot parrot;
    auto rules = quick(shell_rules(parrot.script()));
    rules.health.silence = 1s;
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(unhealthy_everywhere(lab, "silence: no output of the command for more than 1s"));
    const auto until = std::chrono::steady_clock::now() + 3s;
    bool healthy = false;
    eventually([&] { parrot.say("x\n"); healthy = healthy || probe(*lab.agent).code == 0; return healthy && std::chrono::steady_clock::now() > until; }, 60s);
    CHECK(healthy);
    CHECK(lab.get("agent") == "ok");
    REQUIRE(lab.says("agent", "unhealthy"));  // quiet again
    rules.health.silence.reset();
    write_conf(lab, rules);
    CHECK(ok_everywhere(lab));  // a quiet child is none
    CHECK(failed_within(*lab.agent, 3s).empty());
}

TEST_CASE("health: an agent that was paused takes that time for no silence") {
    auto rules = quick(shell_rules("while :; do echo x; sleep 0.2; done"), 60s);
    rules.health.silence = 2s;
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(ok_everywhere(lab));
    for (int i = 0; i < 2; ++i) {
        lab.agent->signal(SIGSTOP);
        const auto until = std::chrono::steady_clock::now() + 6s;
        eventually([&] { return std::chrono::steady_clock::now() > until; });
        const auto before = lab.all("agent").size();
        lab.agent->signal(SIGCONT);
        CHECK(eventually([&] { return lab.all("agent").size() > before + 5; }));
    }
    for (const auto& said : lab.all("agent")) CHECK_FALSE(has(said, "unhealthy"));
}

TEST_CASE("health: after a pause the probe is right again at once, not at the next heartbeat") {
    auto rules = quick(shell_rules("exec sleep 1000"), 16s);
    rules.health.heartbeat = 15s;  // long, so that a busy machine is not taken for one that waits for it
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    REQUIRE(probe_says(agent, 0, ""));
    agent.signal(SIGSTOP);
    REQUIRE(probe_says(agent, 1, "no heartbeat for "));
    agent.signal(SIGCONT);
    CHECK(eventually([&] { return probe(agent).code == 0; }, 13s));
}

TEST_CASE("health: a hang that ends and a beat that could not be written are not told until the next heartbeat") {
    const test::TempFolder folder;
    HealthRules rules;
    rules.heartbeat = 1h;
    rules.max_age = 2h;
    std::atomic<std::int64_t> pump_tick = sys::boot_ns() - std::chrono::nanoseconds(3h).count();
    agent::HeartbeatWriter writer(folder.path() + "/later/heartbeat", [&] { return pump_tick.load(); }, rules);
    std::filesystem::create_directory(folder.path() + "/later");
    const auto says = [&](Health health) {
        return eventually([&] {
            const auto text = sys::read_file(folder.path() + "/later/heartbeat", k_heartbeat_limit);
            const auto beat = text ? decode_heartbeat(*text) : std::nullopt;
            return beat && judge(*beat, sys::boot_ns()).health == health;
        }, 60s);
    };
    CHECK(says(Health::unhealthy));
    pump_tick = sys::boot_ns();
    CHECK(says(Health::ok));
}

TEST_CASE("health: unhealthy_on across chunks, until clear_on, or a restart of the command, or another conf") {
    const Parrot parrot;
    auto rules = quick(shell_rules(parrot.script()));
    rules.health.unhealthy_on = {"oops", "Kernel panic.*syncing"};
    rules.health.clear_on = {"login: $"};
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(lab.says("output", "up"));
    parrot.say("Kernel pa");
    REQUIRE(lab.says("output", "Kernel pa"));
    CHECK(probe(*lab.agent).code == 0);
    parrot.say("nic - not \x1b[31msyncing" + std::string(300, '!') + "\n");
    const auto why = "the output matches 'Kernel panic.*syncing': Kernel panic - not  [31msyncing" + std::string(200 - 36 - 3, '!');
    CHECK(unhealthy_everywhere(lab, why.substr(0, 200)));
    parrot.say("alpha login: ");  // without a newline
    CHECK(ok_everywhere(lab));
    parrot.say("\noops 1\n");
    CHECK(unhealthy_everywhere(lab, "the output matches 'oops': oops 1"));
    std::ofstream(parrot.file()) << "";
    lab.publish("alpha/cmd/restart", "");
    CHECK(ok_everywhere(lab));
    parrot.say("oops 2\n");
    CHECK(unhealthy_everywhere(lab, "the output matches 'oops': oops 2"));
    rules.health.unhealthy_on = {"uff"};
    write_conf(lab, rules);
    CHECK(ok_everywhere(lab));
    parrot.say("uff\n");
    CHECK(unhealthy_everywhere(lab, "the output matches 'uff': uff"));
    rules.health.unhealthy_on.clear();
    write_conf(lab, rules);
    CHECK(ok_everywhere(lab));
}

TEST_CASE("health: unhealthy_on finds a line behind a flood and a huge line, and holds up neither") {
    auto rules = quick(shell_rules("yes abcdefghi | head -n 3000000; head -c 30000000 /dev/zero | tr '\\0' z; echo needle; echo last; exec sleep 1000"));
    rules.health.unhealthy_on = {"needle$", "[a-z]{40}\\d", "(abc|def)+x", "^never"};
    Lab lab(AGENT_ENTRY, rules);
    CHECK(probe_says(*lab.agent, 1, "the output matches 'needle$': "));
    CHECK(eventually([&] { return lab.agent->out().size() == 30'000'000 + 30'000'000 + 12; }, 60s));
}

TEST_CASE("health: patterns that cannot be used are said, and are not the child's trouble") {
    auto rules = quick(shell_rules("echo '('; exec sleep 1000"));
    rules.health.unhealthy_on = {"("};  // no conf gets here with it; a file by hand might
    Lab lab(AGENT_ENTRY, rules);
    CHECK(lab.says("agent", "degraded: health.unhealthy_on: expected a regular expression (RE2): missing ): ("));
    CHECK(probe(*lab.agent).code == 0);
}

TEST_CASE("health: nobody reads stdout: the child runs on, it is said, and nothing is missing there later") {
    const test::TempFolder folder;
    const auto pipe = unread_pipe(folder.path() + "/pipe", 64 * 1024);
    const auto program = wrapper(folder, "exec " AGENT_ENTRY " \"$@\" >" + folder.path() + "/pipe");
    PrivateAgent agent(program, k_nowhere, quick(shell_rules("seq 1 600000; echo done; exec sleep 1000")));
    REQUIRE(eventually([&] { return has(agent.log(), "done\n"); }, 60s));  // its pipe and stdout's hold 2 MB at most
    CHECK(eventually([&] { return has(agent.heartbeat(), "degraded"); }));
    CHECK(failed_within(agent, 4s).empty());
    std::string text, buffer(64 * 1024, '\0');
    CHECK(eventually([&] {
        for (ssize_t got = 0; (got = ::read(pipe.get(), buffer.data(), buffer.size())) > 0;) text.append(buffer, 0, static_cast<std::size_t>(got));
        return text.size() >= agent.log().size();
    }, 60s));
    CHECK(text == agent.log());
    CHECK(eventually([&] { return has(agent.err(), "stdout is read again; missing in it: 0 bytes"); }));
    agent.signal(SIGTERM);
    CHECK(eventually([&] { return agent.ended().has_value(); }));
}

TEST_CASE("health: nobody reads stdout or stderr: jobs run, states are said, a stop is in time") {
    const test::TempFolder folder;
    const auto out = unread_pipe(folder.path() + "/out", 4096), err = unread_pipe(folder.path() + "/err", 4096);
    const auto program = wrapper(folder, "exec " AGENT_ENTRY " \"$@\" >" + folder.path() + "/out 2>" + folder.path() + "/err");
    Lab lab(program, quick(shell_rules("while :; do echo 0123456789; done")));
    for (int i = 0; i < 30; ++i)
        CHECK(has(lab.run("j" + std::to_string(i), "{\"id\":\"j" + std::to_string(i) + "\",\"command\":\"seq 1 1000\"}"), "SUCCEEDED"));
    CHECK(lab.says("agent", "degraded: nobody reads the container's stdout"));
    CHECK(failed_within(*lab.agent, 4s).empty());
    const auto start = std::chrono::steady_clock::now();
    lab.agent->signal(SIGTERM);
    CHECK(eventually([&] { return lab.agent->ended().has_value(); }, 60s));
    CHECK(std::chrono::steady_clock::now() - start < 8s);
}

TEST_CASE("health: a broker that is away is degraded, however long") {
    Lab lab(AGENT_ENTRY, quick(shell_rules("exec sleep 1000"), 1s));
    REQUIRE(ok_everywhere(lab));
    lab.broker.kill();
    CHECK(probe_says(*lab.agent, 0, "degraded: broker away: "));
    CHECK(failed_within(*lab.agent, 6s).empty());
    lab.broker.start();
    CHECK(ok_everywhere(lab));
}

TEST_CASE("health: a busy machine is no hang") {
    Lab lab(AGENT_ENTRY, quick(shell_rules("while :; do echo x; sleep 0.1; done"), 5s));
    REQUIRE(ok_everywhere(lab));
    std::vector<pid_t> hogs;
    for (int i = 0; i < 4; ++i) hogs.push_back(sys::spawn({{"/bin/sh", "-c", "while :; do :; done"}, {}, {}, -1, -1, -1})->pid);
    CHECK(failed_within(*lab.agent, 8s).empty());
    CHECK(has(lab.run("j", R"({"id":"j","command":"echo hi"})"), "SUCCEEDED"));
    for (const auto hog : hogs) ::kill(hog, SIGKILL);
    for (const auto hog : hogs) ::waitpid(hog, nullptr, 0);
    for (const auto& said : lab.all("agent")) CHECK_FALSE(has(said, "unhealthy"));
}

TEST_CASE("health: a clock that is set by an hour or a year, back or forward, is nobody's trouble") {
    const test::TempFolder folder;
    const auto clock = folder.path() + "/clock";
    const auto program = wrapper(folder, "export FAKE_CLOCK=" + clock + " LD_PRELOAD=" FAKE_CLOCK " ASAN_OPTIONS=verify_asan_link_order=0\nexec " AGENT_ENTRY " \"$@\"");
    auto rules = quick(shell_rules("while :; do echo x; sleep 0.2; done"), 3s);
    rules.health.silence = 10s;
    Lab lab(program, rules);
    REQUIRE(ok_everywhere(lab));
    constexpr long k_hour = 3600, k_year = 365 * 24 * k_hour;
    int job = 0;
    for (const long offset : {k_hour, -k_hour, k_year, -k_year, 0L}) {
        REQUIRE(sys::write_file_atomic(clock, std::to_string(offset), 0600, sys::Durability::fast));
        CHECK(failed_within(*lab.agent, 2s).empty());
        const auto id = "j" + std::to_string(++job);
        const auto record = lab.run(id, R"({"id":")" + id + R"(","command":"echo hi"})");
        CHECK(has(record, "SUCCEEDED"));
        if (offset == -k_year || offset == k_year) {
            const auto now = std::chrono::system_clock::now() + std::chrono::seconds(offset);
            CHECK(has(record, "\"started\":\"" + format_rfc3339(now).substr(0, 4)));  // it did see that clock
        }
        const auto beats = lab.all("agent").size();
        CHECK(eventually([&] { return lab.all("agent").size() > beats + 5; }));
        const auto outputs = lab.all("output").size();
        CHECK(eventually([&] { return lab.all("output").size() > outputs + 5; }));
    }
    for (const auto& said : lab.all("agent")) CHECK_FALSE(has(said, "unhealthy"));
}
