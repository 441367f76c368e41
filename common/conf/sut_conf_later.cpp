#include <algorithm>
#include <array>
#include <cctype>

#include "conf/sut_conf_sections.hpp"

namespace sutfleet::conf {
namespace {

using namespace std::chrono_literals;

constexpr Range k_every{1s, 24h * 365};

/// The levels under a SUT that are the product's own: no probe may publish there.
constexpr std::array<std::string_view, 12> k_own_levels{
    "submit", "submit_status", "agent",   "state", "output", "last_job",
    "job",    "jobs",          "metrics", "cmd",   "res",    "credential"};

void read_name(MapReader& map) {
    const auto* node = map.take("name");
    if (node == nullptr) return;
    const auto is_fit = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-';
    };
    if (node->kind != Kind::scalar || node->text.empty() || node->text.size() > 63 ||
        !std::ranges::all_of(node->text, is_fit))
        map.wrong(*node, "name", "a name of letters, digits, '_' and '-'");
}

void read_command(MapReader& map, std::string_view key) {
    std::optional<Command> command;
    map.command(key, command);
}

void read_probe(MapReader& map) {
    read_name(map);
    std::string url;
    map.text("url", url);
    Milliseconds time{};
    map.duration("every", k_every, time);
    map.duration("timeout", {1ms, 1h}, time);
    const auto* name = map.take("name");
    if (name != nullptr &&
        std::ranges::find(k_own_levels, std::string_view(name->text)) != k_own_levels.end())
        map.wrong(*name, "name", "a name that is not a topic of the agent itself");
}

void read_renew(MapReader& map) {
    read_name(map);
    read_command(map, "run");
    Milliseconds time{};
    map.duration("every", k_every, time);
}

}  // namespace

void read_later(MapReader& root, SutConf& out) {
    root.sections("probes", {"name", "url"}, read_probe);
    root.sections("init", {"name", "run"}, [](MapReader& map) {
        read_name(map);
        read_command(map, "run");
    });
    root.sections("services", {"name", "command"}, [](MapReader& map) {
        read_name(map);
        read_command(map, "command");
    });
    root.sections("renew", {"name", "run", "every"}, read_renew);
    std::map<std::string, std::string> secrets;
    root.text_map("secrets", secrets);
    for (const auto key : {"probes", "init", "services", "renew", "secrets"})
        mark_not_acted_on(root, key, root.line_of(key), out);
}

}  // namespace sutfleet::conf
