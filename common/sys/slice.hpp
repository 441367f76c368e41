#pragma once
// How long a thread may compute before another has its turn (sched_setattr(2); Linux 6.12, ignored before). One with a short
// slice runs as soon as it is woken, even where the scheduler has put it behind a child that has just begun. Threads: any.

#include <sys/types.h>

#include <chrono>

namespace sutfleet::sys {

using Slice = std::chrono::nanoseconds;
inline constexpr Slice k_shortest_slice{100'000};  ///< the kernel takes no less
inline constexpr Slice k_usual_slice{0};

/// Of the calling thread, and of what it starts from now on. System calls alone: it may stand between clone and exec.
void set_slice(Slice slice);
/// Of a process's main thread; zero where the kernel knows none, or there is no such process.
[[nodiscard]] Slice slice_of(pid_t process);

}  // namespace sutfleet::sys
