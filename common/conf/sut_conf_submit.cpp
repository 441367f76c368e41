#include <charconv>
#include <cmath>

#include "conf/sut_conf_sections.hpp"
#include "core/ids.hpp"
#include "policy/submit_policy.hpp"

namespace sutfleet::conf {
namespace {

using Type = CommandParameter::Type;

void read_bound(MapReader& map, std::string_view key, Type type, double& out) {
    const auto* node = map.take(key);
    if (node == nullptr) return;
    constexpr double k_most = 9007199254740992.0;
    const char* end = node->text.data() + node->text.size();
    double value = 0;
    const auto [rest, error] = std::from_chars(node->text.data(), end, value);
    const bool is_number = node->kind == Kind::scalar && error == std::errc{} && rest == end && std::abs(value) <= k_most;
    if (!is_number || (type == Type::integer && value != std::floor(value)))
        return map.wrong(*node, key, type == Type::integer ? "a whole number up to 2^53" : "a number up to 2^53");
    out = value;
}

/// The keys that only one type has are unknown ones for all others.
CommandParameter read_parameter(MapReader& map) {
    CommandParameter out;
    const auto type = map.choice("type", {"integer", "number", "boolean", "choice", "text"});
    if (!type) return out;
    out.type = static_cast<Type>(*type);
    if (out.type == Type::integer || out.type == Type::number) {
        read_bound(map, "min", out.type, out.min);
        read_bound(map, "max", out.type, out.max);
    }
    if (out.type == Type::choice) map.texts("values", out.values);
    if (out.type == Type::text) {
        map.text("match", out.match);
        std::optional<std::int64_t> most;
        map.integer("max_length", 1, static_cast<std::int64_t>(k_text_limit), most);
        if (most) out.max_length = static_cast<std::size_t>(*most);
    }
    const auto* preset = map.take("default");
    if (preset != nullptr) map.text("default", out.preset.emplace());
    return out;
}

/// Each entry of a map of maps, whose names are item names.
template <class Read>
void each_named(MapReader& map, std::string_view key, std::size_t most, const Read& read) {
    const auto* node = map.take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::map) return map.wrong(*node, key, "a map of names to maps");
    if (node->entries.size() > most) return map.wrong(*node, key, "at most " + std::to_string(most) + " names");
    map.section(key, [&](MapReader& names) {
        for (const auto& entry : node->entries) {
            const auto& name = *entry.first;
            if (is_item_name(name.text))
                names.section(name.text, [&](MapReader& one) { read(name.text, one, name); });
            else
                names.note(name, "'" + names.full(name.text) + "': expected a name of letters, digits, '_' and '-'"), names.take(name.text);
        }
    });
}

NamedCommand read_command(MapReader& map, const Node& at) {
    NamedCommand out;
    each_named(map, "parameters", k_command_parameters, [&](const std::string& name, MapReader& one, const Node& where) {
        const bool has_type = one.take("type") != nullptr;
        if (!has_type) one.note(where, "'" + one.full("type") + "' is missing");
        const auto& parameter = out.parameters[name] = read_parameter(one);
        if (const auto right = check_parameter(parameter); has_type && !right)
            one.note(where, "'" + map.full("parameters." + name) + "': expected " + right.error().message);
    });
    const auto* run = map.take("run");
    if (run == nullptr) {
        map.note(at, "'" + map.full("run") + "' is missing");
        return out;
    }
    // Not by `texts`: an argument may be empty.
    const auto argv = run->kind == Kind::sequence ? to_command(*run) : std::nullopt;
    if (!argv) {
        map.wrong(*run, "run", "a list of texts");
        return out;
    }
    out.run = argv->argv;
    if (const auto right = check_run(out); !right) map.note(*run, "'" + map.full("run") + "': expected " + right.error().message);
    return out;
}

}  // namespace

void read_submit(MapReader& root, SubmitPolicy& out) {
    root.section("submit", [&](MapReader& map) {
        map.boolean("shell", out.shell);
        each_named(map, "commands", k_named_commands, [&](const std::string& name, MapReader& one, const Node& where) {
            out.commands[name] = read_command(one, where);
        });
    });
}

}  // namespace sutfleet::conf
