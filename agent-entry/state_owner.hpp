#pragma once
// Gives the state of an earlier container to the user of the next one. Runs alone, before the agent: nobody else writes there.

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sutfleet::agent {

struct StateOwner {
    uid_t uid = 0;
    gid_t gid = 0;
};
/// `1000:1000`, both as numbers.
[[nodiscard]] std::optional<StateOwner> parse_state_owner(std::string_view text);

/// The folder and all below it; links themselves, not what they point at. Goes on behind a failure, and returns the first.
Result<void> give_state(const std::string& folder, StateOwner to);

}  // namespace sutfleet::agent
