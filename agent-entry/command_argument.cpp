#include "command_argument.hpp"

#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "core/topics.hpp"

namespace sutfleet::agent {

using nlohmann::ordered_json;

std::string command_argument(std::string_view payload) {
    if (!payload.starts_with('{')) {
        const auto last = payload.find_last_not_of(" \t\r\n");
        return std::string(last == std::string_view::npos ? std::string_view() : payload.substr(0, last + 1));
    }
    const auto object = too_deep(payload) ? ordered_json() : ordered_json::parse(payload, nullptr, false);
    for (const auto* key : {"argument", "id"})
        if (object.is_object() && object.contains(key) && object[key].is_string()) return object[key].get<std::string>();
    return {};
}

std::string command_transaction(std::string_view payload) {
    const bool sane = payload.starts_with('{') && payload.size() <= k_command_limit && !too_deep(payload);
    const auto object = sane ? ordered_json::parse(payload, nullptr, false) : ordered_json();
    if (!object.is_object() || !object.contains("transaction")) return "null";
    return object["transaction"].dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace sutfleet::agent
