#pragma once
// The clocks, read at the edges only; decisions get `now` passed in. Threads: any.

#include <cstdint>

#include "core/timestamp.hpp"

namespace sutfleet::sys {

/// CLOCK_BOOTTIME in nanoseconds: common to all containers of a host, counts through suspend, cannot be set.
[[nodiscard]] std::int64_t boot_ns();
[[nodiscard]] inline WallTime wall_now() { return std::chrono::system_clock::now(); }
[[nodiscard]] inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }

}  // namespace sutfleet::sys
