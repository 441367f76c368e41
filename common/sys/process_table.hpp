#pragma once
// Finds processes by what they inherited, wherever they went: another process group, session or parent. Threads: any.

#include <string_view>
#include <vector>

#include <sys/types.h>

namespace sutfleet::sys {

/// Living processes, ours left out, whose environment has this entry ("KEY=value"), as far as we may read it (proc(5)).
/// One that has changed its environment by exec is not found; one that ended is not, either.
std::vector<pid_t> processes_with(std::string_view environment_entry);

/// Kills all of them, also those that they fork meanwhile: first nobody may move, then all go.
/// @return how many were killed
std::size_t kill_all_with(std::string_view environment_entry);

/// What the kernel counts as killed for want of memory in our control group (cgroups(7)); 0 where that cannot be read.
long out_of_memory_kills();

}  // namespace sutfleet::sys
