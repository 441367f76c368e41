#pragma once
// How often an agent was restarted lately, and that it is quarantined, as a text that outlives the supervisor: a line
// `quarantined` if it is, and an RFC 3339 time for each restart. Pure.

#include <string>
#include <string_view>

#include "reconcile.hpp"

namespace sutfleet {

/// What both clocks say at one moment.
struct Moment {
    SteadyTime steady;
    WallTime wall;
};

/// @return empty when there is nothing to remember
[[nodiscard]] std::string encode_restarts(const History& history, const Moment& now);
/// Into `history`. Times that are no longer of interest, in the future or no times are left out.
void decode_restarts(std::string_view text, History& history, const Moment& now);

}  // namespace sutfleet
