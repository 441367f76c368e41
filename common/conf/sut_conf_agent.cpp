#include <algorithm>
#include <cctype>

#include "conf/sut_conf_sections.hpp"
#include "match/patterns.hpp"

namespace sutfleet::conf {
namespace {

using namespace std::chrono_literals;

constexpr Range k_any{1ms, 24h * 365};
constexpr Range k_probe{1s, 24h};

bool is_env_name(std::string_view name) {
    const auto is_word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
    return !name.empty() && std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
           std::ranges::all_of(name, is_word);
}

void read_queues(MapReader& root, SutConf& out) {
    const auto* node = root.take("queues");
    root.texts("queues", out.agent.queues);
    if (node == nullptr || node->kind != Kind::sequence) return;
    for (const auto& item : node->items)
        if (item->kind == Kind::scalar && !SutName::parse(item->text))
            root.wrong(*item, "queues", "queue names of 2 to 63 characters a-z, 0-9 and '-'");
}

void read_phases(MapReader& root, SutConf& out) {
    root.section("phases", [&](MapReader& phases) {
        for (const auto name : k_phase_names) {
            std::optional<Command> command;
            phases.command(name, command);
            if (command) out.agent.phases[std::string(name)] = *std::move(command);
        }
    });
}

void read_jobs(MapReader& root, JobRules& out) {
    root.section("jobs", [&](MapReader& map) {
        map.duration("keep", {1min, 24h * 3650}, out.keep);
        std::optional<std::int64_t> most;
        map.bytes("max_bytes", 1, std::int64_t{1} << 60, "an amount such as 500m or 20g", most);
        if (most) out.max_bytes = *most;
        const auto* node = map.take("protected");
        if (node == nullptr) return;
        map.texts("protected", out.protected_phases);
        for (const auto& name : out.protected_phases)
            if (std::ranges::find(k_phase_names, name) == std::end(k_phase_names))
                map.wrong(*node, "protected", "names of phases, found '" + name + "'");
    });
}

void read_log(MapReader& root, LogRules& out) {
    root.section("log", [&](MapReader& map) {
        std::optional<std::int64_t> most, keep;
        map.bytes("max_bytes", k_log_least, k_log_limit, "an amount of 64k or more such as 500k or 10m", most);
        map.integer("keep", 1, k_log_keep_limit, keep);
        if (most) out.max_bytes = static_cast<std::uint64_t>(*most);
        if (keep) out.keep = static_cast<unsigned>(*keep);
    });
}

void read_timeouts(MapReader& root, Timeouts& out) {
    root.section("timeouts", [&](MapReader& map) {
        map.duration("job", k_any, out.job);
        map.duration("output", k_any, out.output);
        map.duration("stop", {0ms, 1h}, out.stop);
        map.duration_or("queue", "none", k_any, out.queue);
    });
}

void read_patterns(MapReader& map, std::string_view key, std::vector<std::string>& out) {
    const auto* node = map.take(key);
    map.texts(key, out);
    if (node == nullptr || node->kind != Kind::sequence) return;
    if (node->items.size() > Patterns::k_most)
        return map.wrong(*node, key, "at most " + std::to_string(Patterns::k_most) + " patterns");
    for (const auto& item : node->items) {
        if (item->kind != Kind::scalar || item->text.empty()) continue;
        if (const auto compiled = Patterns::compile({item->text}); !compiled)
            map.wrong(*item, key, compiled.error().message);
    }
}

void read_health(MapReader& root, HealthRules& out) {
    root.section("health", [&](MapReader& map) {
        map.duration("heartbeat", {100ms, 1h}, out.heartbeat);
        map.duration("max_age", {1s, 24h}, out.max_age);
        map.duration_or("interval", "auto", k_probe, out.interval);
        map.duration_or("silence", "off", k_any, out.silence);
        read_patterns(map, "unhealthy_on", out.unhealthy_on);
        read_patterns(map, "clear_on", out.clear_on);
        if (const auto index = map.choice("on_unhealthy", {"restart", "none"}))
            out.restart_on_unhealthy = *index == 0;
        if (out.max_age < 2 * out.heartbeat) {
            const auto* at =
                map.take("max_age") != nullptr ? map.take("max_age") : map.take("heartbeat");
            if (at != nullptr) map.wrong(*at, "max_age", "at least twice 'health.heartbeat'");
        }
    });
}

void read_env(MapReader& root, SutConf& out) {
    root.text_map("env", out.agent.env);
    const auto* node = root.take("env");
    if (node == nullptr || node->kind != Kind::map) return;
    for (const auto& [name, value] : node->entries)
        if (!is_env_name(name->text))
            root.note(*name, "'env': expected a name of letters, digits and '_', found " +
                                 describe(*name));
}

}  // namespace

void read_agent(MapReader& root, SutConf& out) {
    root.command("command", out.agent.command);
    if (const auto index = root.choice("restart", {"always", "on-failure", "no"}))
        out.agent.restart = static_cast<RestartPolicy>(*index);
    read_queues(root, out);
    read_phases(root, out);
    read_jobs(root, out.agent.jobs);
    read_log(root, out.agent.log);
    read_timeouts(root, out.agent.timeouts);
    read_health(root, out.agent.health);
    read_env(root, out);
}

}  // namespace sutfleet::conf
