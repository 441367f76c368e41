#include "usage.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "bench.hpp"

namespace sutfleet::bench {
namespace {

/// The number behind `key` in a file of /proc.
std::optional<long> find_number(const std::string& path, const std::string& key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(key)) return std::stol(line.substr(key.size()));
    return std::nullopt;
}

long number_in(const std::string& path, const std::string& key) {
    if (const auto found = find_number(path, key)) return *found;
    give_up(path + ": expected " + key);
}

std::string proc(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

double seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

}  // namespace

double cpu_seconds(pid_t pid) {
    clockid_t clock{};
    timespec used{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
        give_up("no processor time of process " + std::to_string(pid));
    return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

double wait_for_end(pid_t pid) {
    int status = 0;
    rusage used{};
    if (::wait4(pid, &status, 0, &used) != pid || status != 0)
        give_up("a program failed: process " + std::to_string(pid) + ", status " + std::to_string(status));
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

long proportional_kib(pid_t pid) { return number_in(proc(pid, "smaps_rollup"), "Pss:"); }
long resident_kib(pid_t pid) { return find_number(proc(pid, "status"), "VmRSS:").value_or(0); }

long wakeups(pid_t pid) {
    long all = 0;
    for (const auto& thread : std::filesystem::directory_iterator(proc(pid, "task")))
        all += number_in(thread.path() / "status", "voluntary_ctxt_switches:") +
               number_in(thread.path() / "status", "nonvoluntary_ctxt_switches:");
    return all;
}

}  // namespace sutfleet::bench
