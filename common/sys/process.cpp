#include "sys/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>

namespace sutfleet::sys {
namespace {

struct Actions {
    posix_spawn_file_actions_t raw;
    Actions() { posix_spawn_file_actions_init(&raw); }
    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;
    ~Actions() { posix_spawn_file_actions_destroy(&raw); }

    void give(int fd, int as, int null_flags) {
        if (fd >= 0)
            posix_spawn_file_actions_adddup2(&raw, fd, as);
        else
            posix_spawn_file_actions_addopen(&raw, as, "/dev/null", null_flags, 0);
    }
};

struct Attributes {
    posix_spawnattr_t raw;
    Attributes() {
        posix_spawnattr_init(&raw);
        // The child starts with no signal blocked, and none ignored of those that we or who started us may ignore.
        sigset_t none, ignored;
        sigemptyset(&none);
        sigemptyset(&ignored);
        for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD}) sigaddset(&ignored, signal);
        posix_spawnattr_setsigmask(&raw, &none);
        posix_spawnattr_setsigdefault(&raw, &ignored);
        posix_spawnattr_setflags(&raw, static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
                                                          POSIX_SPAWN_SETSIGDEF));
    }
    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;
    ~Attributes() { posix_spawnattr_destroy(&raw); }
};

std::vector<char*> c_strings(const std::vector<std::string>& texts) {
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
    out.push_back(nullptr);
    return out;
}

}  // namespace

Result<Child> spawn(const SpawnRequest& request) {
    if (request.argv.empty()) return fail(ErrorKind::invalid_input, "an empty command");
    Actions actions;
    if (!request.working_folder.empty())
        posix_spawn_file_actions_addchdir_np(&actions.raw, request.working_folder.c_str());
    actions.give(request.in, STDIN_FILENO, O_RDONLY);
    actions.give(request.out, STDOUT_FILENO, O_WRONLY);
    actions.give(request.err, STDERR_FILENO, O_WRONLY);
    const Attributes attributes;
    const auto argv = c_strings(request.argv);
    const auto environment = c_strings(request.environment);
    Child child;
    const int error = ::posix_spawnp(&child.pid, argv.front(), &actions.raw, &attributes.raw, argv.data(),
                                     environment.data());
    if (error != 0) return fail(errno_error(request.argv.front(), error));
    return child;
}

int shell_code(const Error& error) { return error.kind == ErrorKind::not_found ? 127 : 126; }

std::optional<Reaped> reap_one() {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return std::nullopt;
    if (WIFSIGNALED(status)) return Reaped{pid, 128 + WTERMSIG(status), true};
    return Reaped{pid, WEXITSTATUS(status), false};
}

std::string program_folder() {
    std::array<char, PATH_MAX> path{};
    const auto size = ::readlink("/proc/self/exe", path.data(), path.size());
    const std::string_view whole(path.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    return std::string(whole.substr(0, whole.rfind('/') == std::string_view::npos ? 0 : whole.rfind('/')));
}

Result<void> become_subreaper() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L) != 0)
        return fail(errno_error("PR_SET_CHILD_SUBREAPER", errno));
    return {};
}

void signal_group(pid_t group, int signal) {
    if (group > 1) ::kill(-group, signal);
}

}  // namespace sutfleet::sys
