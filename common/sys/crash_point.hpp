#pragma once
// For tests only: places beside each change of durable or outside state at which the process can be made to die at
// once, to show that its next life finds its way from there. Unless armed, a point is one branch on an int that never
// changes. Threads: any, once `arm_crash_points` has returned.

namespace sutfleet::sys {

/// With SUTFLEET_CRASH_AT="n" in the environment, the nth point that is passed from now on is the last; with "n name",
/// the nth of this name. It takes the variable out of the environment: no child dies of it. Call it first in main().
void arm_crash_points();

namespace crash {
extern int armed;
void pass(const char* name);
}  // namespace crash

/// `name`: what has just been done, or is about to be; a death says it on stderr.
inline void crash_point(const char* name) {
    if (crash::armed != 0) [[unlikely]]
        crash::pass(name);
}

inline constexpr int k_crashed = 137;  ///< the exit code of such a death, as if by KILL

}  // namespace sutfleet::sys
