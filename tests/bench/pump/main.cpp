// The pump against what else carries lines, by turns in one run: a flood, a steady load, an outage, a trickle, idleness.
// usage: bench_pump AGENT_ENTRY BUNDLE GENERATOR PYTHON_PUMP [--quick] [PART...]

#include <csignal>
#include <set>
#include <string_view>

#include "parts.hpp"

using namespace sutfleet::bench;

namespace {

struct Part {
    std::string_view name;
    void (*run)(const Programs&, const Plan&);
};
constexpr Part k_parts[] = {{"flood", floods}, {"steady", steady_load},        {"outage", outage},           {"trickle", trickle},
                            {"idle", idleness}, {"container", containers}, {"shim", contained_idleness}, {"probe", probe}};

}  // namespace

int main(int argc, char** argv) try {
    Plan plan;
    std::set<std::string_view> wanted;
    for (int i = 5; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--quick")
            plan = k_quick;
        else
            wanted.insert(argv[i]);
    }
    const auto is_part = [](std::string_view name) { return std::ranges::any_of(k_parts, [&](const Part& part) { return part.name == name; }); };
    if (argc < 5 || !std::ranges::all_of(wanted, is_part))
        give_up("usage: bench_pump AGENT_ENTRY BUNDLE GENERATOR PYTHON_PUMP [--quick] [flood|steady|outage|trickle|idle|container|shim|probe]...");
    std::signal(SIGPIPE, SIG_IGN);
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const Programs programs{argv[1], argv[2], argv[3], argv[4]};
    for (const auto& part : k_parts)
        if (wanted.empty() || wanted.contains(part.name)) part.run(programs, plan);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_pump: %s\n", error.what());
    return 1;
}
