#pragma once
// Durations as people write them: `500ms 10s 15m 4h 2d`, or a bare number of seconds. Pure.

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sutfleet {

/// @return invalid_input for anything else, a negative value, or more than 10 years.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest exact form: 90000 ms -> "90s", 3600000 ms -> "1h".
[[nodiscard]] std::string format_duration(std::chrono::milliseconds value);

}  // namespace sutfleet
