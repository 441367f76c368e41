#include "sys/process_table.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <set>
#include <string>

#include "sys/file.hpp"

namespace sutfleet::sys {
namespace {

constexpr std::size_t k_environ_limit = 4 * 1024 * 1024;
constexpr int k_rounds = 100;  ///< a bomb that forks quicker than we look is left to the pids limit

bool has_entry(std::string_view environment, std::string_view wanted) {
    for (std::size_t at = 0; at < environment.size();) {
        const auto end = std::min(environment.find('\0', at), environment.size());
        if (environment.substr(at, end - at) == wanted) return true;
        at = end + 1;
    }
    return false;
}

bool has_mark(pid_t pid, std::uint64_t mark) {
    rlimit limit{};
    return mark != 0 && ::prlimit(pid, RLIMIT_MSGQUEUE, nullptr, &limit) == 0 && limit.rlim_cur == mark;
}

}  // namespace

std::uint64_t own_mark() {
    constexpr std::uint64_t k_marks = 100'000;
    rlimit limit{};
    if (::getrlimit(RLIMIT_MSGQUEUE, &limit) != 0) return 0;
    const auto below = 1 + static_cast<std::uint64_t>(::getpid()) % k_marks;
    return limit.rlim_cur > below ? limit.rlim_cur - below : 0;
}

void mark_self(std::uint64_t mark) {
    rlimit limit{};
    if (mark == 0 || ::getrlimit(RLIMIT_MSGQUEUE, &limit) != 0) return;
    limit.rlim_cur = mark;
    ::setrlimit(RLIMIT_MSGQUEUE, &limit);
}

std::vector<pid_t> processes_with(std::string_view environment_entry, Marked marked) {
    std::vector<pid_t> out;
    const auto mark = marked == Marked::too ? own_mark() : 0;
    for (const auto& name : list_folder("/proc").value_or(std::vector<std::string>())) {
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto pid = static_cast<pid_t>(std::strtol(name.c_str(), nullptr, 10));
        if (pid == ::getpid()) continue;
        if (has_mark(pid, mark)) {
            out.push_back(pid);
            continue;
        }
        const auto environment = read_file("/proc/" + name + "/environ", k_environ_limit);
        if (environment && has_entry(*environment, environment_entry)) out.push_back(pid);
    }
    return out;
}

std::size_t kill_all_with(std::string_view environment_entry, Marked marked) {
    std::set<pid_t> stopped;
    for (int round = 0; round < k_rounds; ++round) {
        const auto before = stopped.size();
        for (const auto pid : processes_with(environment_entry, marked))
            if (stopped.insert(pid).second) ::kill(pid, SIGSTOP);
        if (stopped.size() == before) break;
    }
    for (const auto pid : stopped) ::kill(pid, SIGKILL);
    return stopped.size();
}

long out_of_memory_kills() {
    for (const auto* path : {"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"}) {
        const auto text = read_file(path, 4096);
        if (!text) continue;
        constexpr std::string_view k_key = "oom_kill ";
        const auto at = ("\n" + *text).find("\n" + std::string(k_key));
        if (at != std::string::npos) return std::strtol(text->c_str() + at + k_key.size(), nullptr, 10);
    }
    return 0;
}

}  // namespace sutfleet::sys
