#pragma once
// Starts a child in a session and process group of its own, and knows it by its pid. The caller
// reaps (PID 1 must reap everything anyway). A child has the usual slice, whatever ours is. Threads: any.

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

struct SpawnRequest {
    std::vector<std::string> argv;         ///< argv[0] is looked up in the PATH of `environment`'s caller
    std::vector<std::string> environment;  ///< the whole of it, "KEY=value"
    std::string working_folder{};          ///< empty: the caller's
    int in = -1;                           ///< -1: /dev/null
    int out = -1;                          ///< -1: /dev/null
    int err = -1;
    bool marked = false;                   ///< it and all that it starts are found by `processes_with`
    bool offered_to_oom_killer = false;    ///< it and all that it starts, not us, are the kernel's choice when memory runs out
};

struct Child {
    pid_t pid = -1;  ///< also its process group and session
};

/// The child has its three streams and no other descriptor of ours.
/// @return not_found or permanent when the program cannot be run (what a shell calls 127 and 126).
Result<Child> spawn(const SpawnRequest& request);
/// From now on nobody of our own user can read our memory, trace us or take our descriptors, and no core of us or of a child is
/// written: what we hold is more than what a child may have. A child that has begun its program is as open as any other.
void forbid_dumps();
/// What a shell calls a program that is not there (127), or cannot be run (126). `error`: of spawn.
[[nodiscard]] int shell_code(const Error& error);

/// One ended child, as waitpid(2) tells it.
struct Reaped {
    pid_t pid = -1;
    int exit_code = 0;  ///< 128 + signal when a signal ended it
    bool by_signal = false;
};
/// The next ended child of any kind, if there is one. Never blocks.
[[nodiscard]] std::optional<Reaped> reap_one();

/// The folder of the program that runs, through links.
[[nodiscard]] std::string program_folder();

/// Makes orphans of our descendants our own children (prctl PR_SET_CHILD_SUBREAPER), as PID 1 has anyway.
Result<void> become_subreaper();

/// Sends a signal to every process of the group; a group that is gone is no error.
void signal_group(pid_t group, int signal);

}  // namespace sutfleet::sys
