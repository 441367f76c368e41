#pragma once
// Wall-clock times as text. Pure.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace sutfleet {

using WallTime = std::chrono::system_clock::time_point;
using SteadyTime = std::chrono::steady_clock::time_point;

/// RFC 3339, UTC, milliseconds: `2026-01-31T23:59:59.123Z`.
[[nodiscard]] std::string format_rfc3339(WallTime time);
/// Of exactly that form. @return none when it is not, or outside the years 1700 to 2200
[[nodiscard]] std::optional<WallTime> parse_rfc3339(std::string_view text);

}  // namespace sutfleet
