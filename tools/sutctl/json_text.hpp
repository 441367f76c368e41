#pragma once
// Foreign JSON, asked for texts without fear of what it may be instead. Internal to .cpp files. Pure.

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/json_guard.hpp"

namespace sutfleet::ctl {

/// Null for what is not JSON: the bus is open to anybody who may write there.
inline nlohmann::ordered_json parse_json(std::string_view text) {
    if (too_deep(text)) return {};
    auto value = nlohmann::ordered_json::parse(text, nullptr, false);
    return value.is_discarded() ? nlohmann::ordered_json() : value;
}

inline std::string dump_json(const nlohmann::ordered_json& value) {
    return value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// The text at the end of the path; empty when something on the way is missing or null.
inline std::string text_at(const nlohmann::ordered_json& object,
                           std::initializer_list<const char*> path) {
    const auto* at = &object;
    for (const auto* key : path) {
        if (!at->is_object()) return {};
        const auto found = at->find(key);
        if (found == at->end()) return {};
        at = &*found;
    }
    if (at->is_string()) return at->get<std::string>();
    return at->is_null() ? std::string() : dump_json(*at);
}

}  // namespace sutfleet::ctl
