// agent-entry as PID 1: the subprocess zoo.
#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "lab.hpp"
#include "mqtt/session.hpp"
#include "private_agent.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/slice.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::k_nowhere;
using test::Lab;
using test::PrivateAgent;
using test::shell_rules;

namespace {

bool logged(const PrivateAgent& agent, const std::string& part) {
    return eventually([&] { return has(agent.log(), part); });
}

std::optional<int> end_of(PrivateAgent& agent) {
    eventually([&] { return agent.ended().has_value(); }, 60s);
    return agent.ended();
}

/// Numbers of /proc/PID/stat from the third field on; empty when it is gone.
std::vector<std::string> stat_of(const std::string& pid) {
    const auto text = sys::read_file("/proc/" + pid + "/stat", 4096).value_or("");
    std::istringstream rest(text.substr(std::min(text.size(), text.rfind(')') + 2)));
    return std::vector<std::string>(std::istream_iterator<std::string>(rest), {});
}

/// Children of a process, and how many of them are zombies.
std::pair<int, int> children_of(pid_t parent) {
    int all = 0, zombies = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto stat = stat_of(name);
        if (stat.size() < 2 || stat[1] != std::to_string(parent)) continue;
        ++all;
        zombies += stat[0] == "Z" ? 1 : 0;
    }
    return {all, zombies};
}

/// Seconds of CPU that a process has used.
double cpu_of(pid_t pid) {
    const auto stat = stat_of(std::to_string(pid));
    return stat.size() < 13 ? 0 : (std::stod(stat[11]) + std::stod(stat[12])) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace

TEST_CASE("a stop lets the subprocess finish, keeps its last words, and ends with its code") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("trap 'echo last words; exit 7' TERM; echo up; while :; do sleep 0.05; done"));
    REQUIRE(logged(agent, "up\n"));
    agent.signal(SIGTERM);
    CHECK(end_of(agent) == 7);
    CHECK(agent.log().ends_with("last words\n"));
    CHECK(agent.out() == agent.log());
}

TEST_CASE("a subprocess that ignores TERM is killed after its time, with its whole group") {
    auto rules = shell_rules("trap '' TERM; (while :; do sleep 0.1; done) & echo up $!; while :; do sleep 0.1; done");
    rules.timeouts.stop = 300ms;
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    REQUIRE(logged(agent, "up "));
    const auto grandchild = agent.log().substr(3, agent.log().find('\n') - 3);
    agent.signal(SIGTERM);
    CHECK(end_of(agent) == 137);
    CHECK(eventually([&] { const auto stat = stat_of(grandchild); return stat.empty() || stat[0] == "Z"; }));
}

TEST_CASE("a child is the kernel's choice when memory runs out, before it can start anything, and we are not") {
    const test::TempFolder folder;
    const auto rank = [] { return sys::read_file("/proc/self/oom_score_adj", 64).value_or(""); };
    const auto own = rank();
    for (int i = 0; i < 100; ++i) {
        const int fd = ::open((folder.path() + "/out").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const sys::UniqueFd out(fd);
        sys::SpawnRequest request{{"/bin/cat", "/proc/self/oom_score_adj"}, {}, folder.path(), -1, out.get(), -1};
        request.offered_to_oom_killer = true;
        const auto child = sys::spawn(request);
        REQUIRE(child);
        int status = -1;
        REQUIRE(::waitpid(child->pid, &status, 0) == child->pid);
        REQUIRE(status == 0);
        REQUIRE(sys::read_file(folder.path() + "/out", 64).value_or("") == "1000\n");
    }
    CHECK(rank() == own);
}

TEST_CASE("we run as soon as we are woken, and what we start like any other program") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("echo $$ started; exec sleep 1000"));
    REQUIRE(logged(agent, "started"));
    const auto usual = sys::slice_of(::getpid());
    CHECK(sys::slice_of(std::atoi(agent.log().c_str())) == usual);
    CHECK(sys::slice_of(agent.pid()) == (usual == sys::Slice{} ? usual : sys::k_shortest_slice));
}

TEST_CASE("an agent holds no instance of inotify: its user, who may run hundreds of agents and more, has 128") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("echo started; exec sleep 1000"));
    REQUIRE(logged(agent, "started"));
    std::size_t descriptors = 0;
    for (const auto& one : std::filesystem::directory_iterator("/proc/" + std::to_string(agent.pid()) + "/fd")) {
        std::error_code closed;
        CHECK_MESSAGE(std::filesystem::read_symlink(one, closed).string().find("inotify") == std::string::npos, one.path());
        ++descriptors;
    }
    CHECK(descriptors > 3);
}

TEST_CASE("a child has its three streams and no other descriptor of ours, whoever left one open") {
    const test::TempFolder folder;
    const int careless = ::open("/dev/null", O_RDONLY);  // as a library does
    const sys::UniqueFd left(careless), high(::fcntl(careless, F_DUPFD, 500));
    const sys::UniqueFd out(::open((folder.path() + "/out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const auto child = sys::spawn({{"/bin/ls", "/proc/self/fd"}, {}, folder.path(), -1, out.get(), out.get()});
    REQUIRE(child);
    int status = -1;
    REQUIRE(::waitpid(child->pid, &status, 0) == child->pid);
    CHECK(status == 0);
    CHECK(sys::read_file(folder.path() + "/out", 64).value_or("") == "0\n1\n2\n3\n");  // the last one is ls's own
}

TEST_CASE("what cannot be started says why, and leaves no zombie") {
    CHECK(sys::spawn({{"/no/such/program"}, {}, {}, -1, -1, -1}).error().kind == ErrorKind::not_found);
    CHECK(sys::spawn({{"no-such-program-anywhere"}, {}, {}, -1, -1, -1}).error().kind == ErrorKind::not_found);
    CHECK(sys::shell_code(sys::spawn({{"/etc/passwd"}, {}, {}, -1, -1, -1}).error()) == 126);
    CHECK(sys::spawn({{"/bin/true"}, {}, "/no/such/folder", -1, -1, -1}).error().message.find("No such file") != std::string::npos);
    CHECK_FALSE(sys::spawn({}));
    CHECK(children_of(::getpid()).second == 0);
}

TEST_CASE("agent-entry --own gives the state to a user, itself and all in it, and follows no link") {
    const test::TempFolder folder;
    std::filesystem::create_directories(folder.path() + "/jobs/deep");
    std::ofstream(folder.path() + "/jobs/deep/file") << "x";
    std::filesystem::create_symlink("/nowhere", folder.path() + "/link");
    const auto own = [&](const std::string& to, const std::string& where) {
        return std::system((std::string(AGENT_ENTRY " --state-dir ") + where + " --own '" + to + "' 2>/dev/null").c_str()) >> 8;
    };
    // Not everybody may give things away; to oneself, everybody.
    const bool root = ::geteuid() == 0;
    const uid_t uid = root ? 4321 : ::geteuid();
    const gid_t gid = root ? 4322 : ::getegid();
    CHECK(own(std::to_string(uid) + ":" + std::to_string(gid), folder.path()) == 0);
    for (const auto* name : {"", "/jobs", "/jobs/deep", "/jobs/deep/file", "/link"}) {
        struct stat status {};
        REQUIRE(::lstat((folder.path() + name).c_str(), &status) == 0);
        CHECK(status.st_uid == uid);
        CHECK(status.st_gid == gid);
    }
    CHECK(own("0:0", folder.path() + "/not-there") == 1);
    for (const auto* wrong : {"", "root", "0", "0:"}) CHECK(own(wrong, folder.path()) == 2);
}

TEST_CASE("orphans are reaped") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere,
                       shell_rules("i=0; while [ $i -lt 300 ]; do (setsid sh -c 'sleep 0.01' &); i=$((i+1)); done; echo forked; sleep 1000"));
    REQUIRE(logged(agent, "forked\n"));
    CHECK(eventually([&] { return children_of(agent.pid()) == std::pair{1, 0}; }));
}

TEST_CASE("ten thousand orphans are reaped while they come, and no zombie is left") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere,
                       shell_rules("i=0; while [ $i -lt 10000 ]; do (: &); i=$((i+1)); done; echo forked; exec sleep 1000"));
    REQUIRE(eventually([&] { return has(agent.log(), "forked\n"); }, 120s));
    CHECK(eventually([&] { return children_of(agent.pid()) == std::pair{1, 0}; }, 60s));
}

TEST_CASE("each stop signal stops it") {
    for (const int signal : {SIGTERM, SIGINT, SIGQUIT}) {
        PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"));
        REQUIRE(logged(agent, "up\n"));
        agent.signal(signal);
        CHECK(end_of(agent) == 7);
    }
}

TEST_CASE("a subprocess that is stopped gets to end by itself") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("trap 'echo last words; exit 7' TERM; echo up; kill -STOP $$; while :; do sleep 0.05; done"));
    REQUIRE(logged(agent, "up\n"));
    const auto child = [&] {
        for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
            const auto name = entry.path().filename().string();
            if (name.find_first_not_of("0123456789") != std::string::npos) continue;
            if (const auto stat = stat_of(name); stat.size() > 1 && stat[1] == std::to_string(agent.pid())) return stat[0];
        }
        return std::string();
    };
    REQUIRE(eventually([&] { return child() == "T"; }));
    agent.signal(SIGTERM);
    CHECK(end_of(agent) == 7);
    CHECK(agent.log().ends_with("last words\n"));
}

TEST_CASE("a job that is stopped is ended by a cancel with TERM") {
    Lab lab(AGENT_ENTRY);
    lab.submit(R"({"id":"j","command":"trap 'echo last words; exit 7' TERM; kill -STOP $$; while :; do sleep 0.05; done"})");
    REQUIRE(lab.says("job/j", "RUNNING"));
    REQUIRE(lab.says("job/j", "\"phase\":\"test\""));
    lab.publish("alpha/cmd/cancel", "j");
    CHECK(lab.says("job/j", "CANCELED"));
}

TEST_CASE("daemons of the subprocess hold up neither its restart nor a stop") {
    const test::TempFolder folder;  // they live as long as it: in a container they end with PID 1
    const auto daemon = "setsid sh -c 'trap \"\" TERM HUP; while [ -e " + folder.path() + " ]; do sleep 0.1; done'";
    Lab lab(AGENT_ENTRY, shell_rules("(" + daemon + " &); trap 'exit 7' TERM; echo up $$; while :; do sleep 0.05; done"));
    REQUIRE(logged(*lab.agent, "up "));
    const auto first = lab.agent->log().substr(0, lab.agent->log().find('\n'));
    lab.publish("alpha/cmd/restart", "");
    REQUIRE(eventually([&] { return lab.agent->log().rfind("up ") != 0; }));
    CHECK_FALSE(has(lab.agent->log().substr(first.size()), first));
    lab.agent->signal(SIGTERM);
    CHECK(end_of(*lab.agent) == 7);
}

TEST_CASE("a subprocess that closes its output early costs nothing, and its end is seen") {
    const test::TempFolder folder;
    const auto mark = folder.path() + "/go";
    PrivateAgent agent(AGENT_ENTRY, k_nowhere,
                       shell_rules("echo up; exec >&- 2>&-; while [ ! -e " + mark + " ]; do sleep 0.05; done; exit 3", RestartPolicy::no));
    REQUIRE(logged(agent, "up\n"));
    const auto before = cpu_of(agent.pid());
    const auto until = std::chrono::steady_clock::now() + 1s;
    eventually([&] { return std::chrono::steady_clock::now() > until; });
    CHECK(cpu_of(agent.pid()) - before < 0.3);  // a loop at end of file would have used all of that second
    std::ofstream(mark) << "x";
    CHECK(eventually([&] { return has(agent.heartbeat(), "command ended (3)"); }));
}

TEST_CASE("a grandchild that keeps the pipe open hides no end and delays no stop") {
    auto rules = shell_rules("(setsid sleep 1000 &); echo up; exit 4", RestartPolicy::no);
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    CHECK(eventually([&] { return has(agent.heartbeat(), "command ended (4)"); }));
    agent.signal(SIGTERM);
    CHECK(end_of(agent) == 4);
}

TEST_CASE("restart policies: on-failure starts it again, an end with 0 is its end") {
    const test::TempFolder folder;
    PrivateAgent failing(AGENT_ENTRY, k_nowhere, shell_rules("echo again; exit 1"));
    CHECK(eventually([&] { return has(failing.log(), "again\nagain\n"); }));
    PrivateAgent done(AGENT_ENTRY, k_nowhere, shell_rules("echo once"));
    CHECK(eventually([&] { return has(done.heartbeat(), "command ended (0)") || has(done.heartbeat(), "broker"); }));
    CHECK(eventually([&] { return done.log() == "once\n"; }));
    auto no_program = shell_rules("", RestartPolicy::no);
    no_program.command = Command{{"/no/such/program"}};
    PrivateAgent missing(AGENT_ENTRY, k_nowhere, no_program);
    CHECK(eventually([&] { return has(missing.heartbeat(), "command ended (127)"); }));
}

TEST_CASE("any bytes at all reach the log and stdout unchanged") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere,
                       shell_rules("printf 'a\\0b\\n\\n\\377\\376\\rx\\033[31m\\n'; head -c 3000000 /dev/zero | tr '\\0' z; printf '\\nlast'; exec sleep 1000"));
    const auto whole = std::string("a\0b\n\n\xff\xfe\rx\033[31m\n", 15) + std::string(3'000'000, 'z') + "\nlast";
    CHECK(eventually([&] { return agent.log().size() >= whole.size(); }));
    CHECK(agent.log() == whole);
    CHECK(eventually([&] { return agent.out() == whole; }));
}

TEST_CASE("HUP goes to the subprocess") {
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, shell_rules("trap 'echo hup' HUP; echo up; while :; do sleep 0.05; done"));
    REQUIRE(logged(agent, "up\n"));
    agent.signal(SIGHUP);
    CHECK(logged(agent, "hup\n"));
}

TEST_CASE("the broker comes late, goes and comes back: the subprocess runs on, nothing it wrote is lost") {
    test::PrivateBroker broker;
    auto wake = *sys::Wake::open();
    mqtt::SessionOptions options;
    options.url = broker.url();
    options.client_id = "reader";
    options.session_expiry = 1h;  // the broker keeps for it what comes before it is back
    options.clean_start = false;
    options.subscriptions = {{"alpha/output", 1, false}};
    const auto reader = mqtt::Session::open(std::move(options), wake);
    REQUIRE(eventually([&] { return reader->connected(); }));
    std::string heard = "\n";
    const auto hears = [&](const std::string& part) {
        return eventually([&] {
            for (const auto& message : reader->drain().messages) heard += message.payload + "\n";
            return has(heard, part);
        }, 60s);
    };
    broker.stop();
    PrivateAgent agent(AGENT_ENTRY, broker.url(), shell_rules("i=0; while :; do i=$((i+1)); echo line $i; sleep 0.05; done"));
    REQUIRE(logged(agent, "line 10\n"));
    CHECK(has(agent.heartbeat(), "broker away"));
    broker.start();
    CHECK(hears("\nline 40\n"));
    CHECK(eventually([&] { return !has(agent.heartbeat(), "broker away"); }));
    broker.stop();
    REQUIRE(logged(agent, "line 80\n"));
    broker.start();
    CHECK(hears("\nline 100\n"));
    std::string missing;
    for (int i = 1; i <= 100; ++i)
        if (!has(heard, "\nline " + std::to_string(i) + "\n")) missing += std::to_string(i) + " ";
    CHECK(missing.empty());
    CHECK_FALSE(agent.ended());
}

TEST_CASE("a healthcheck of a living agent says ok, of a stopped one why not") {
    auto rules = shell_rules("sleep 1000");
    rules.health.max_age = 1s;
    rules.health.heartbeat = 200ms;
    PrivateAgent agent(AGENT_ENTRY, k_nowhere, rules);
    const auto probe = [&] { return std::system((std::string(HEALTHCHECK " --run-dir ") + agent.folder() + "/run >/dev/null").c_str()); };
    CHECK(eventually([&] { return probe() == 0; }));
    agent.signal(SIGSTOP);
    CHECK(eventually([&] { return probe() != 0; }));
    agent.signal(SIGCONT);
    CHECK(eventually([&] { return probe() == 0; }));
}

TEST_CASE("a broker that takes a connection and then is silent delays no stop") {
    const test::SilentServer silent;
    PrivateAgent agent(AGENT_ENTRY, silent.url(), shell_rules("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"));
    REQUIRE(logged(agent, "up\n"));
    const auto start = std::chrono::steady_clock::now();
    agent.signal(SIGTERM);
    CHECK(end_of(agent) == 7);
    CHECK(std::chrono::steady_clock::now() - start < 4s);  // Paho's own limit for a connection is longer
}

TEST_CASE("a broker that goes away while a part of a line waits leaves the agent at rest") {
    Lab lab(AGENT_ENTRY, shell_rules("while :; do printf x; sleep 0.01; done"));
    REQUIRE(lab.says("output", "x"));
    lab.broker.kill();
    REQUIRE(eventually([&] { return has(lab.agent->heartbeat(), "broker away"); }));
    const auto before = cpu_of(lab.agent->pid());
    const auto until = std::chrono::steady_clock::now() + 1s;
    eventually([&] { return std::chrono::steady_clock::now() > until; });
    CHECK(cpu_of(lab.agent->pid()) - before < 0.4);
}

TEST_CASE("a command that ignores TERM is killed in time, however often its restart is asked for") {
    auto rules = shell_rules("trap '' TERM; echo up; while :; do sleep 0.05; done");
    rules.timeouts.stop = 1s;
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(logged(*lab.agent, "up\n"));
    const bool again = eventually([&] {
        lab.publish("alpha/cmd/restart", "");
        return has(lab.agent->log(), "up\nup\n");
    });
    CHECK(again);
}
