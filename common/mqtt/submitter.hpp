#pragma once
// Who a submit says that it comes from: the MQTT 5 user property `submitted-by`. A hint, and never more: any client can write
// anything there, and Mosquitto 2.0 tells a subscriber nothing of the publisher's user (docs/inputs.md). Pure.

#include <string>

#include "core/one_line.hpp"
#include "mqtt/session.hpp"

namespace sutfleet::mqtt {

inline constexpr const char* k_submitted_by = "submitted-by";
inline constexpr std::size_t k_submitter_limit = 100;  ///< bytes

/// In one line; empty when nothing is said.
[[nodiscard]] inline std::string claimed_submitter(const UserProperties& properties) {
    for (const auto& [key, value] : properties)
        if (key == k_submitted_by) return one_line(value, k_submitter_limit);
    return {};
}

}  // namespace sutfleet::mqtt
