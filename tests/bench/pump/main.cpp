// The pump against what else carries lines, by turns in one run: a flood, a steady load, an outage, a trickle, idleness.
// usage: bench_pump AGENT_ENTRY BUNDLE GENERATOR PYTHON_PUMP [--quick] [PART...]

#include <sys/wait.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <set>

#include "contained.hpp"
#include "contender.hpp"
#include "line.hpp"

using namespace sutfleet;
using namespace sutfleet::bench;

namespace {

struct Plan {
    int rounds = 3;
    std::uint64_t divide = 1;    ///< the lines of a flood by it
    double steady_s = 10;
    std::uint64_t trickle = 400;  ///< lines
    int idle_s = 30;
    int idle_agents = 20;
};

double median(Samples samples) { return at(samples, 0.5); }

void verdict(const char* what, double value, const char* aim, bool met) {
    std::printf("  %-58s %9.3f   aim: %-14s %s\n", what, value, aim, met ? "" : "MISSED");
}

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::agent: return "agent-entry (file, stdout, MQTT)";
        case Kind::tee: return "tee file";
        case Kind::tee_and_publish: return "tee file | mosquitto_pub -l -q 0";
        case Kind::s6_log: return "s6-log (file)";
        case Kind::python: return "python (file, stdout, MQTT)";
    }
    return "";
}

struct Flood {
    double rate = 0;     ///< lines/s
    double local = 0;    ///< lines/s, without the subscriber
    double cpu_us = 0;   ///< of a line
    double broker_us = 0;
    long peak_kib = 0;
    std::uint64_t lost = 0, doubled = 0;
};

std::uint64_t lines_of(Kind kind, std::size_t bytes) {
    if (kind == Kind::python) return 60'000;
    if (kind == Kind::tee_and_publish) return 200'000;
    return bytes == 10 ? 5'000'000 : bytes == 100 ? 1'000'000 : 300'000;
}

Flood flood(Kind kind, const Programs& programs, std::size_t bytes, std::uint64_t divide) {
    const Load load{lines_of(kind, bytes) / divide, bytes};
    Contender contender(kind, programs, load);
    contender.go();
    const auto out = contender.finish();
    const auto lines = static_cast<double>(load.lines);
    return {lines / out.seconds, lines / out.local, out.cpu / lines * 1e6, out.broker_cpu / lines * 1e6, out.peak_kib, out.lost, out.doubled};
}

double median_of(const std::vector<Flood>& runs, double Flood::* figure) {
    Samples samples;
    for (const auto& run : runs) samples.push_back(run.*figure);
    return median(samples);
}

void print_flood(Kind kind, std::size_t bytes, const std::vector<Flood>& runs) {
    std::uint64_t lost = 0, doubled = 0;
    long peak = 0;
    for (const auto& run : runs) lost += run.lost, doubled += run.doubled, peak = std::max(peak, run.peak_kib);
    std::printf("%-34s %5zu %11.0f %11.0f %9.3f %9.3f %7.1f %6llu %7llu\n", name_of(kind), bytes, median_of(runs, &Flood::local),
                median_of(runs, &Flood::rate), median_of(runs, &Flood::cpu_us), median_of(runs, &Flood::broker_us),
                static_cast<double>(peak) / 1024, static_cast<unsigned long long>(lost), static_cast<unsigned long long>(doubled));
}

void floods(const Programs& programs, const Plan& plan) {
    constexpr Kind k_all[] = {Kind::agent, Kind::tee, Kind::s6_log, Kind::tee_and_publish, Kind::python};
    std::printf("a flood                            bytes     lines/s     lines/s    CPU us    broker     RSS   lost doubled\n"
                "                                  a line       local  subscriber    a line    a line     MiB\n");
    for (const std::size_t bytes : {100U, 10U, 1024U}) {
        std::map<Kind, std::vector<Flood>> runs;
        for (int round = 0; round < plan.rounds; ++round)
            for (const auto kind : k_all) runs[kind].push_back(flood(kind, programs, bytes, plan.divide));
        for (const auto kind : k_all) print_flood(kind, bytes, runs[kind]);
        const auto rate = [&](Kind kind) { return median_of(runs[kind], &Flood::rate); };
        const auto against_tee = rate(Kind::agent) / rate(Kind::tee), against_s6 = rate(Kind::agent) / rate(Kind::s6_log);
        const auto cpu = median_of(runs[Kind::python], &Flood::cpu_us) / median_of(runs[Kind::agent], &Flood::cpu_us);
        verdict("lines/s up to the subscriber, of tee's", against_tee, ">= 0.5", against_tee >= 0.5);
        verdict("lines/s up to the subscriber, of s6-log's", against_s6, ">= 1", against_s6 >= 1);
        verdict("CPU of a line: python's, in ours", cpu, ">= 150", cpu >= 150 || bytes == 1024);
    }
}

struct Steady {
    double cpu = 0, broker = 0;  ///< of a core
    std::uint64_t lost = 0, doubled = 0;
};

Steady steady(Kind kind, const Programs& programs, double seconds) {
    Contender contender(kind, programs, {static_cast<std::uint64_t>(5000 * seconds), 100, "5000"});
    contender.go();
    const auto out = contender.finish();
    return {out.cpu / seconds, out.broker_cpu / seconds, out.lost, out.doubled};
}

void steady_load(const Programs& programs, const Plan& plan) {
    Samples ours, broker, theirs, their_broker;
    std::uint64_t wrong = 0;
    for (int round = 0; round < std::min(plan.rounds, 2); ++round) {
        const auto agent = steady(Kind::agent, programs, plan.steady_s), python = steady(Kind::python, programs, plan.steady_s);
        ours.push_back(agent.cpu), broker.push_back(agent.broker);
        theirs.push_back(python.cpu), their_broker.push_back(python.broker);
        wrong += agent.lost + agent.doubled;
    }
    std::printf("\n5,000 lines/s of 100 bytes, %% of a core: agent-entry %.2f, its broker %.2f; python %.2f, its broker %.2f; lost or doubled %llu\n",
                median(ours) * 100, median(broker) * 100, median(theirs) * 100, median(their_broker) * 100, static_cast<unsigned long long>(wrong));
    const auto cpu = median(theirs) / median(ours), cost = median(their_broker) / median(broker);
    verdict("CPU: python's, in ours", cpu, ">= 12", cpu >= 12);
    verdict("CPU of the broker: python's, in ours", cost, ">= 20", cost >= 20);
}

void outage(const Programs& programs, const Plan&) {
    Contender contender(Kind::agent, programs, {18'000, 100, "3000"});
    contender.go();
    ::poll(nullptr, 0, 2000);
    contender.broker().stop();
    ::poll(nullptr, 0, 2000);
    contender.broker().start();
    const auto out = contender.finish();
    std::printf("\na broker that is away for 2 s, at 3,000 lines/s: lost %llu, doubled %llu (%llu bytes came twice, with the same offset)\n",
                static_cast<unsigned long long>(out.lost), static_cast<unsigned long long>(out.doubled),
                static_cast<unsigned long long>(contender.reader().repeated_bytes()));
    verdict("lines lost or doubled", static_cast<double>(out.lost + out.doubled), "0", out.lost + out.doubled == 0);
}

/// A stamped line from us through the same broker, when the agent is not at it.
void bare_round_trips(int port, LineReader& reader, std::uint64_t count) {
    LinePublisher publisher(port);
    std::string line = std::string(k_number, '0') + std::string(90, '.');
    for (std::uint64_t i = 1; i <= count; ++i) {
        ::poll(nullptr, 0, 30 + static_cast<int>(i % 20));
        put_line(line.data(), line.size(), i, monotonic_ns());
        publisher.publish("bench/bare", line);
    }
    if (!test::eventually([&] { return reader.latencies().size() >= count; })) give_up("a message that we published is lost");
}

void trickle(const Programs& programs, const Plan& plan) {
    Contender contender(Kind::agent, programs, {plan.trickle, 100, "trickle"});
    LineReader bare(contender.broker().port(), "bench/bare");
    contender.go();
    bare_round_trips(contender.broker().port(), bare, plan.trickle);
    const auto out = contender.finish();
    auto ours = contender.reader().latencies(), floor = bare.latencies();
    std::printf("\ntrickle, line written to line received, ms: agent-entry p50 %.2f, p99 %.2f; bare round trip p50 %.2f, p99 %.2f (%zu, lost %llu)\n",
                at(ours, 0.5), at(ours, 0.99), at(floor, 0.5), at(floor, 0.99), ours.size(), static_cast<unsigned long long>(out.lost));
    const auto more = at(ours, 0.99) - at(floor, 0.99);
    verdict("p99 behind the bare round trip's, ms", more, "<= 10", more <= 10);
    verdict("samples between 38 and 50 ms", static_cast<double>(delayed_acks(ours)), "0", delayed_acks(ours) == 0);
}

/// The generator's own time, in a container: alone, and as the command of an agent that also writes the file and MQTT. The
/// pipe between them takes 1 % of it.
void containers(const Programs& programs, const Plan& plan) {
    const auto lines = std::to_string(1'000'000 / plan.divide);
    Samples alone, ours;
    for (int round = 0; round < plan.rounds; ++round) {
        const auto argv = [&](const Contained& in) { return std::vector<std::string>{in.folder() + "/generator", lines, "100", "0", in.folder()}; };
        Contained bare, agent;
        for (const auto* one : {&bare, &agent}) std::filesystem::copy_file(programs.generator, one->folder() + "/generator");
        bare.run(argv(bare));
        alone.push_back(std::stod(lines) / bare.generate());
        test::PrivateBroker broker(k_broker);
        AgentRules rules;
        rules.command = Command{argv(agent)};
        rules.restart = RestartPolicy::no;
        agent.run_agent(programs.bundle, broker.url(), "alpha", rules);
        ours.push_back(std::stod(lines) / agent.generate());
    }
    std::printf("\nin a container, log driver local, lines/s of 100 bytes: the generator under agent-entry %.0f, alone %.0f\n", median(ours), median(alone));
    verdict("of the generator alone", median(ours) / median(alone), ">= 0.9", median(ours) >= 0.9 * median(alone));
}

void contained_idleness(const Programs& programs, const Plan& plan) {
    test::PrivateBroker broker(k_broker);
    std::vector<std::unique_ptr<Contained>> all;
    for (int i = 0; i < plan.idle_agents; ++i) {
        all.push_back(std::make_unique<Contained>());
        all.back()->run_agent(programs.bundle, broker.url(), "idle-" + std::to_string(i), test::shell_rules("exec sleep 1000"));
    }
    ::poll(nullptr, 0, 8000);
    double ours = 0, shims = 0;
    for (const auto& one : all) ours += static_cast<double>(proportional_kib(one->pid())), shims += static_cast<double>(proportional_kib(one->shim()));
    std::printf("\n%d idle containers, PSS of each: agent-entry %.2f MiB, its containerd-shim %.2f MiB\n", plan.idle_agents,
                ours / 1024 / plan.idle_agents, shims / 1024 / plan.idle_agents);
    verdict("PSS, of the shim's", ours / shims, "<= 0.35", ours <= 0.35 * shims);
}

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

Idle idle_pythons(const Programs& programs, const Plan& plan) {
    test::PrivateBroker broker;
    std::vector<std::unique_ptr<Contender>> pumps;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    const sys::UniqueFd in(ends[0]), out(ends[1]);
    std::vector<pid_t> pids;
    for (int i = 0; i < plan.idle_agents; ++i) {
        const auto child = sys::spawn({{"/usr/bin/python3", programs.python_pump, std::to_string(broker.port()), "t", "/dev/null", std::to_string(i)},
                                       {"PATH=/usr/bin:/bin"}, {}, in.get(), -1, STDERR_FILENO});
        if (!child) give_up(child.error().message);
        pids.push_back(child->pid);
    }
    ::poll(nullptr, 0, 8000);
    const auto used = idle(pids, plan.idle_s);
    for (const auto pid : pids) ::kill(pid, SIGKILL), ::waitpid(pid, nullptr, 0);
    return used;
}

void idleness(const Programs& programs, const Plan& plan) {
    const auto ours = idle_agents(programs, plan), theirs = idle_pythons(programs, plan);
    std::printf("\nidle, each of %d: agent-entry %.3f %% of a core, %.0f wakeups a minute, PSS %.2f MiB; python %.3f %%, %.0f, %.2f MiB\n",
                plan.idle_agents, ours.cpu * 100, ours.wakeups, ours.pss_kib / 1024, theirs.cpu * 100, theirs.wakeups, theirs.pss_kib / 1024);
    verdict("CPU, % of a core", ours.cpu * 100, "< 0.1", ours.cpu < 0.001);
    verdict("PSS, of python's", ours.pss_kib / theirs.pss_kib, "<= 0.1", ours.pss_kib <= theirs.pss_kib / 10);
}

}  // namespace

int main(int argc, char** argv) try {
    const std::map<std::string, std::function<void(const Programs&, const Plan&)>> parts{
        {"1-flood", floods}, {"2-steady", steady_load}, {"3-outage", outage}, {"4-trickle", trickle}, {"5-idle", idleness}, {"6-container", containers}, {"7-shim", contained_idleness}};
    Plan plan;
    std::set<std::string> wanted;
    for (int i = 5; i < argc; ++i) {
        if (std::string(argv[i]) == "--quick") plan = {3, 4, 4, 100, 10, 20};
        else if (parts.contains(argv[i])) wanted.insert(argv[i]);
        else argc = 0;
    }
    if (argc < 5)
        give_up("usage: bench_pump AGENT_ENTRY BUNDLE GENERATOR PYTHON_PUMP [--quick] [1-flood|2-steady|3-outage|4-trickle|5-idle|6-container|7-shim]...");
    std::signal(SIGPIPE, SIG_IGN);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const Programs programs{argv[1], argv[2], argv[3], argv[4]};
    for (const auto& [name, part] : parts)
        if (wanted.empty() || wanted.contains(name)) part(programs, plan);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_pump: %s\n", error.what());
    return 1;
}
