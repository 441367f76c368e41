#pragma once
// Finds processes by what they inherited, wherever they went: another process group, session or parent. Threads: any.

#include <cstdint>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace sutfleet::sys {

/// What a child of ours can be marked by: its soft limit on the bytes of POSIX message queues (RLIMIT_MSGQUEUE, getrlimit(2)),
/// which whoever it starts inherits through any exec, session or environment, and which nobody uses up. It is a little less
/// than ours, by our pid, so that two agents in one process table differ. 0: ours leaves no room for one.
[[nodiscard]] std::uint64_t own_mark();
/// Of the calling process. For a child before its exec: nothing but system calls.
void mark_self(std::uint64_t mark);

enum class Marked { no, too };

/// Living processes, ours left out, whose environment has this entry ("KEY=value"), as far as we may read it (proc(5)), and those
/// with our mark. One that has changed its environment by exec is found by its mark only; one that ended is not, either.
std::vector<pid_t> processes_with(std::string_view environment_entry, Marked marked = Marked::no);

/// Kills all of them, also those that they fork meanwhile: first nobody may move, then all go.
/// @return how many were killed
std::size_t kill_all_with(std::string_view environment_entry, Marked marked = Marked::no);

/// What the kernel counts as killed for want of memory in our control group (cgroups(7)); 0 where that cannot be read.
long out_of_memory_kills();

}  // namespace sutfleet::sys
