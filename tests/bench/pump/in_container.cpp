// The same in containers: the log driver as the ceiling, and idleness beside the shim.

#include <filesystem>

#include "contained.hpp"
#include "parts.hpp"

namespace sutfleet::bench {

/// The generator's own time, in a container: alone, and as the command of an agent that also writes the file and MQTT. The
/// pipe between them takes 1 % of it.
void containers(const Programs& programs, const Plan& plan) {
    const auto lines = std::to_string(1'000'000 / plan.divide);
    Samples alone, ours;
    for (int round = 0; round < plan.rounds; ++round) {
        const auto argv = [&](const Contained& in) {
            return std::vector<std::string>{in.folder() + "/generator", lines, "100", "0", in.folder()};
        };
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
    std::printf("\nin a container, log driver local, lines/s of 100 bytes: the generator under agent-entry %.0f, alone %.0f\n", median(ours),
                median(alone));
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
    for (const auto& one : all) {
        ours += static_cast<double>(proportional_kib(one->pid()));
        shims += static_cast<double>(proportional_kib(one->shim()));
    }
    std::printf("\n%d idle containers, PSS of each: agent-entry %.2f MiB, its containerd-shim %.2f MiB\n", plan.idle_agents,
                ours / 1024 / plan.idle_agents, shims / 1024 / plan.idle_agents);
    verdict("PSS, of the shim's", ours / shims, "<= 0.35", ours <= 0.35 * shims);
}

}  // namespace sutfleet::bench
