// agent-entry: PID 1 of an agent.

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "agent.hpp"
#include "core/agent_files.hpp"
#include "core/version.hpp"
#include "state_owner.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/slice.hpp"
#include "sys/process.hpp"

namespace {

constexpr const char* k_help =
    "agent-entry: PID 1 of a sutfleet agent\n\n"
    "  --conf-dir DIR   the delivered conf (default /sut)\n"
    "  --state-dir DIR  jobs and logs (default /var/lib/sutfleet)\n"
    "  --run-dir DIR    the heartbeat (default /run/sutfleet)\n"
    "  --secrets-dir DIR  values to be masked in output (default /run/secrets)\n"
    "  --own UID:GID    only gives the state folder and all in it to that user, and ends\n"
    "  --help, --version\n";

int usage(const std::string& what) {
    std::fprintf(stderr, "agent-entry: %s\n%s", what.c_str(), k_help);
    return 2;
}

/// For a container of the supervisor's own, before the agent's.
int own(const std::string& state, const std::string& to) {
    const auto owner = sutfleet::agent::parse_state_owner(to);
    if (!owner) return usage("--own: expected UID:GID, found '" + to + "'");
    const auto given = sutfleet::agent::give_state(state, *owner);
    if (!given) std::fprintf(stderr, "agent-entry: --own: %s\n", given.error().message.c_str());
    return given ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    ::mallopt(M_TRIM_THRESHOLD, 1 << 20);  // the batches of a flood do not give their pages back one by one
    sutfleet::sys::arm_crash_points();
    namespace files = sutfleet::agent_files;
    sutfleet::agent::Folders folders{std::string(files::k_conf), std::string(files::k_state), std::string(files::k_run), std::string(files::k_secrets)};
    std::string owner;
    bool only_own = false;
    for (int i = 1; i < argc; ++i) {
        const std::string option(argv[i]);
        if (option == "--help") return std::fputs(k_help, stdout), 0;
        if (option == "--version") return std::printf("agent-entry %s\n", std::string(sutfleet::k_version).c_str()), 0;
        std::string* into = option == "--conf-dir"    ? &folders.conf
                            : option == "--state-dir" ? &folders.state
                            : option == "--run-dir"   ? &folders.run
                            : option == "--secrets-dir" ? &folders.secrets
                            : option == "--own"         ? &owner
                                                        : nullptr;
        if (into == nullptr) return usage("unknown option '" + option + "'");
        if (++i == argc) return usage(option + " needs a value");
        only_own = only_own || into == &owner;
        *into = argv[i];
    }
    if (only_own) return own(folders.state, owner);
    // A reader of our own log that is stuck costs lines of it, never a turn of the main loop.
    sutfleet::sys::never_block_on_pipe(STDERR_FILENO);
    sutfleet::sys::set_slice(sutfleet::sys::k_shortest_slice);  // our turns are short, those of jobs are not
    sutfleet::sys::forbid_dumps();
    sutfleet::sys::start_log("agent-entry");
    auto agent = sutfleet::agent::Agent::open(folders);
    if (agent) return (*agent)->run();
    sutfleet::sys::log(sutfleet::sys::Level::error, agent.error().message);
    return 1;
}
