// What an agent costs that has nothing to do, and its health probe.

#include <sys/wait.h>

#include <csignal>

#include "parts.hpp"

namespace sutfleet::bench {
namespace {

struct Idle {
    double cpu = 0;      ///< of a core
    double wakeups = 0;  ///< per minute
    double pss_kib = 0;
};

Idle idle(const std::vector<pid_t>& pids, int seconds) {
    Idle out;
    const auto count = static_cast<double>(pids.size());
    for (const auto pid : pids) out.cpu -= cpu_seconds(pid), out.wakeups -= static_cast<double>(wakeups(pid));
    ::poll(nullptr, 0, seconds * 1000);
    for (const auto pid : pids) out.cpu += cpu_seconds(pid), out.wakeups += static_cast<double>(wakeups(pid));
    for (const auto pid : pids) out.pss_kib += static_cast<double>(proportional_kib(pid)) / count;
    out.cpu /= count * seconds;
    out.wakeups *= 60 / (count * seconds);
    return out;
}

Idle idle_agents(const Programs& programs, const Plan& plan) {
    std::vector<std::unique_ptr<test::PrivateBroker>> brokers;  // all agents here are alpha
    std::vector<std::unique_ptr<test::PrivateAgent>> agents;
    std::vector<pid_t> pids;
    for (int i = 0; i < plan.idle_agents; ++i) {
        brokers.push_back(std::make_unique<test::PrivateBroker>(k_broker));
        agents.push_back(std::make_unique<test::PrivateAgent>(programs.agent, brokers.back()->url(), test::shell_rules("sleep 1000")));
        pids.push_back(agents.back()->pid());
    }
    ::poll(nullptr, 0, 8000);
    return idle(pids, plan.idle_s);
}

Idle idle_pythons(const Programs& programs, int count, int seconds) {
    test::PrivateBroker broker;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    const sys::UniqueFd in(ends[0]), out(ends[1]);
    std::vector<pid_t> pids;
    for (int i = 0; i < count; ++i) {
        const auto child = sys::spawn({{"/usr/bin/python3", programs.python_pump, std::to_string(broker.port()), "t", "/dev/null", std::to_string(i)},
                                       {"PATH=/usr/bin:/bin"}, {}, in.get(), -1, STDERR_FILENO});
        if (!child) give_up(child.error().message);
        pids.push_back(child->pid);
    }
    ::poll(nullptr, 0, 8000);
    const auto used = idle(pids, seconds);
    for (const auto pid : pids) ::kill(pid, SIGKILL), ::waitpid(pid, nullptr, 0);
    return used;
}

}  // namespace

void idleness(const Programs& programs, const Plan& plan) {
    const auto ours = idle_agents(programs, plan), theirs = idle_pythons(programs, plan.idle_agents, plan.idle_s);
    const auto alone = idle_pythons(programs, 1, 1);
    std::printf("\nidle, each of %d: agent-entry %.3f %% of a core, %.0f wakeups a minute, PSS %.2f MiB; python %.3f %%, %.0f, %.2f MiB\n",
                plan.idle_agents, ours.cpu * 100, ours.wakeups, ours.pss_kib / 1024, theirs.cpu * 100, theirs.wakeups, theirs.pss_kib / 1024);
    verdict("CPU, % of a core", ours.cpu * 100, "< 0.1", ours.cpu < 0.001);
    std::printf("  PSS, of python's, one among as many %40.3f\n", ours.pss_kib / theirs.pss_kib);
    verdict("PSS, of python's, one alone", ours.pss_kib / alone.pss_kib, "<= 0.1", ours.pss_kib <= alone.pss_kib / 10);
}

void probe(const Programs& programs, const Plan&) {
    test::PrivateBroker broker(k_broker);
    const test::PrivateAgent agent(programs.agent, broker.url());
    if (!test::eventually([&] { return !agent.heartbeat().empty(); })) give_up("no heartbeat");
    const auto here = sys::program_folder() + "/";
    std::printf("\n");
    const std::vector<std::string> argv{here + "bench_probe_cost", "500", here + "bench_nothing", here + "../../healthcheck/healthcheck",
                                        "--run-dir", agent.folder() + "/run"};
    const auto child = sys::spawn({argv, {}, {}, -1, STDOUT_FILENO, STDERR_FILENO});
    if (!child) give_up(child.error().message);
    wait_for_end(child->pid);
}

}  // namespace sutfleet::bench
