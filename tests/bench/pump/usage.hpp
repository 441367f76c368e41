#pragma once
// What a process of ours costs, as the kernel counts it. Each throws when there is no such process.

#include <sys/types.h>

namespace sutfleet::bench {

/// User and system time in seconds of all its threads, also those that have ended; not of its children.
double cpu_seconds(pid_t pid);
/// Waits for its end, which must be a good one. @return the same, with that of the children that it has waited for
double wait_for_end(pid_t pid);
/// In KiB: what is its own, and its share of what it shares.
long proportional_kib(pid_t pid);
long resident_kib(pid_t pid);  ///< 0 of one that has ended
/// Times that one of its threads was put on a processor again.
long wakeups(pid_t pid);

}  // namespace sutfleet::bench
