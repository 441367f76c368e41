// A testflinger-agent conf, unchanged: the keys that its schema publishes. Those that mean
// something here are mapped; the others stay in the file for that program, which may run beside us
// from the same conf.

#include <algorithm>
#include <array>

#include "conf/sut_conf_sections.hpp"

namespace sutfleet::conf {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t k_most = std::int64_t{1} << 53;

/// Words that describe the device: shown where labels are.
constexpr std::array<std::string_view, 4> k_described{"agent_id", "identifier", "location",
                                                      "provision_type"};
constexpr std::array<std::string_view, 5> k_left_texts{
    "server_address", "execution_basedir", "logging_basedir", "results_basedir", "logging_level"};
constexpr std::array<std::string_view, 2> k_left_numbers{"polling_interval", "output_bytes"};
constexpr std::array<std::string_view, 4> k_left_maps{"advertised_queues", "advertised_images",
                                                      "links", "control_host"};

void read_described(MapReader& root, SutConf& out) {
    for (const auto key : k_described) {
        std::string value;
        root.text(key, value);
        if (!value.empty()) out.labels.emplace(key, value);
    }
}

/// Queue names there are free; here they are topic levels. One that does not fit is left out, not
/// refused.
void read_job_queues(MapReader& root, SutConf& out) {
    std::vector<std::string> names;
    root.texts("job_queues", names);
    const auto* node = root.take("job_queues");
    if (node == nullptr) return;
    if (root.take("queues") != nullptr)
        root.wrong(*node, "job_queues", "either 'queues' or 'job_queues'");
    for (auto& name : names) {
        if (SutName::parse(name))
            out.agent.queues.push_back(std::move(name));
        else
            out.not_acted_on.push_back("job_queues: " + name + " (not a queue name here)");
    }
}

void read_commands(MapReader& root, SutConf& out) {
    for (const auto phase : k_phase_names) {
        const auto key = std::string(phase) + "_command";
        const auto* node = root.take(key);
        if (node == nullptr || (node->kind == Kind::scalar && node->text.empty())) continue;
        if (node->kind != Kind::scalar) {
            root.wrong(*node, key, "a text for /bin/sh");
        } else if (!out.agent.phases.emplace(phase, Command{{"/bin/sh", "-c", node->text}})
                        .second) {
            root.note(*node, "'" + key + "': the phase is already set by 'phases'");
        }
    }
}

void read_seconds(MapReader& root, std::string_view key, Milliseconds& out) {
    std::optional<std::int64_t> seconds;
    root.integer(key, 1, 366LL * 86'400, seconds);
    if (seconds) out = std::chrono::seconds(*seconds);
}

void check_left(MapReader& root) {
    std::string text;
    for (const auto key : k_left_texts) root.text(key, text);
    std::optional<std::int64_t> number;
    for (const auto key : k_left_numbers) root.integer(key, 0, k_most, number);
    for (const auto key : k_left_maps)
        if (const auto* node = root.take(key); node != nullptr && node->kind != Kind::map)
            root.wrong(*node, key, "a map");
    // That program reads YAML 1.1, where yes, no, on and off are booleans too.
    if (const auto* quiet = root.take("logging_quiet"))
        if (quiet->kind != Kind::scalar) root.wrong(*quiet, "logging_quiet", "true or false");
}

}  // namespace

void read_testflinger(MapReader& root, SutConf& out) {
    read_described(root, out);
    read_job_queues(root, out);
    read_seconds(root, "global_timeout", out.agent.timeouts.job);
    read_seconds(root, "output_timeout", out.agent.timeouts.output);
    read_commands(root, out);
    check_left(root);
}

}  // namespace sutfleet::conf
