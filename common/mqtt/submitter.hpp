#pragma once
// Who a submit comes from, by its MQTT 5 user properties. `submitted-by` is what the sender says, and any client can write
// anything there. `submitted-by-user` is written by the broker's plugin (broker/plugin), behind whatever the sender wrote:
// the last one counts. Pure.

#include "core/one_line.hpp"
#include "core/submitter.hpp"
#include "mqtt/session.hpp"

namespace sutfleet::mqtt {

inline constexpr const char* k_submitted_by = "submitted-by";

[[nodiscard]] inline Submitter submitter_of(const UserProperties& properties) {
    Submitter out;
    for (const auto& [key, value] : properties) {
        if (key == k_submitted_by) out.name = one_line(value, k_submitter_limit);
        if (key == k_submitted_by_user) out.user = one_line(value, k_submitter_limit);
    }
    return out;
}

}  // namespace sutfleet::mqtt
