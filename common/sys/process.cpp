#include "sys/process.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <memory>
#include <mutex>
#include <semaphore>
#include <system_error>
#include <thread>

#include "sys/process_table.hpp"
#include "sys/slice.hpp"

namespace sutfleet::sys {
namespace {

// Those that we or who started us may ignore or block: a child starts without that.
constexpr std::array k_reset{SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGCHLD};

bool give(int fd, int as, int null_flags) {
    if (fd == as) return ::fcntl(fd, F_SETFD, 0) == 0;
    const int from = fd >= 0 ? fd : ::open("/dev/null", null_flags | O_CLOEXEC);
    return from >= 0 && (from == as ? ::fcntl(from, F_SETFD, 0) == 0 : ::dup2(from, as) >= 0);
}

/// Our own rank in the kernel's choice when memory runs out; a child has its parent's. It has to be open before we are not
/// dumpable: from then on /proc/self is root's.
class OwnRank {
  public:
    static OwnRank& get() {
        static OwnRank rank;
        return rank;
    }
    /// For as long as it lives, whoever we start is the kernel's first choice; so are we, for the moment until the child's
    /// exec, but of all with that rank the kernel takes the largest.
    class Offer {
      public:
        Offer(OwnRank& rank, bool offered) : rank_(rank), lock_(rank.mutex_, std::defer_lock), offered_(offered) {
            if (!offered_) return;
            lock_.lock();
            rank_.write("1000");
        }
        ~Offer() {
            if (offered_) rank_.write(rank_.before_);
        }
        Offer(const Offer&) = delete;
        Offer& operator=(const Offer&) = delete;

      private:
        OwnRank& rank_;
        std::unique_lock<std::mutex> lock_;
        const bool offered_;
    };

  private:
    OwnRank() : fd_(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC)) {
        std::array<char, 16> text{};
        const auto got = fd_ ? ::pread(fd_.get(), text.data(), text.size(), 0) : -1;
        if (got > 0) before_.assign(text.data(), static_cast<std::size_t>(got));
    }
    void write(std::string_view rank) const {
        if (fd_) [[maybe_unused]] const auto written = ::pwrite(fd_.get(), rank.data(), rank.size(), 0);
    }

    const UniqueFd fd_;
    std::string before_ = "0";
    std::mutex mutex_;  ///< one child at a time
};

/// Libraries open descriptors that are not close-on-exec: a child has its own three, and no connection of ours.
void close_others() {
    constexpr unsigned k_first = STDERR_FILENO + 1, k_enough = 4096;
    if (::syscall(SYS_close_range, k_first, ~0U, 0U) == 0) return;
    for (unsigned fd = k_first; fd < k_enough; ++fd) ::close(static_cast<int>(fd));  // a kernel before 5.9
}

constexpr std::size_t k_child_stack = 64 * 1024;

struct ChildSide {
    const SpawnRequest& request;
    char* const* argv;
    char* const* environment;
    std::uint64_t mark;
    int error = 0;
};

/// In its parent's memory until exec: nothing but system calls.
/// @return errno of what failed; otherwise it does not return.
int become(const ChildSide& side) {
    const auto& request = side.request;
    for (const int signal : k_reset) ::signal(signal, SIG_DFL);
    if (::setsid() < 0) return errno;
    set_slice(k_usual_slice);
    if (request.marked) mark_self(side.mark);
    if (!request.working_folder.empty() && ::chdir(request.working_folder.c_str()) != 0) return errno;
    if (!give(request.in, STDIN_FILENO, O_RDONLY) || !give(request.out, STDOUT_FILENO, O_WRONLY) ||
        !give(request.err, STDERR_FILENO, O_WRONLY))
        return errno;
    close_others();
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvpe(side.argv[0], side.argv, side.environment);
    return errno;
}

int run_child(void* side) {
    return static_cast<ChildSide*>(side)->error = become(*static_cast<const ChildSide*>(side));
}

/// No signal handler may run in the child while it has our memory.
class SignalsBlocked {
  public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

  private:
    sigset_t before_{};
};

/// Starts children from a thread of its own: when a child has left our memory, the kernel likes to wake who started it on the
/// child's CPU, and the child would wait there until that one's turn is over.
class Starter {
  public:
    static Starter& get() {
        static Starter starter;
        return starter;
    }
    /// @return -1 with errno, as clone(2)
    pid_t start(char* stack, ChildSide& side) {
        const std::scoped_lock lock(mutex_);
        stack_ = stack;
        side_ = &side;
        asked_.release();
        done_.acquire();
        errno = errno_;
        return pid_;
    }
    ~Starter() {
        stack_ = nullptr;
        asked_.release();
    }

  private:
    Starter() : thread_([this] { run(); }) {}
    void run() {
        const SignalsBlocked blocked;
        for (asked_.acquire(); stack_ != nullptr; asked_.acquire()) {
            pid_ = ::clone(run_child, stack_, CLONE_VM | CLONE_VFORK | SIGCHLD, side_);
            errno_ = errno;
            done_.release();
        }
    }
    std::mutex mutex_;
    std::binary_semaphore asked_{0}, done_{0};
    char* stack_ = nullptr;
    ChildSide* side_ = nullptr;
    pid_t pid_ = -1;
    int errno_ = 0;
    std::jthread thread_;
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
    const auto argv = c_strings(request.argv);
    const auto environment = c_strings(request.environment);
    ChildSide side{request, argv.data(), environment.data(), own_mark()};
    const auto stack = std::make_unique_for_overwrite<char[]>(k_child_stack);
    const OwnRank::Offer offer(OwnRank::get(), request.offered_to_oom_killer);
    const SignalsBlocked blocked;
    // As posix_spawn does it, which cannot give the child its rank for the kernel's choice when memory runs out.
    pid_t pid = -1;
    try {
        pid = Starter::get().start(stack.get() + k_child_stack, side);
    } catch (const std::system_error& error) {  // no thread was to be had
        errno = error.code().value();
    }
    if (pid < 0) return fail(errno_error(request.argv.front(), errno));
    if (side.error == 0) return Child{pid};
    ::waitpid(pid, nullptr, 0);
    return fail(errno_error(request.argv.front(), side.error));
}

void forbid_dumps() {
    [[maybe_unused]] const auto& open = OwnRank::get();
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
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
