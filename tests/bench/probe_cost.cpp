// CPU of one run of a program, against another, by turns. usage: probe_cost COUNT PROGRAM_A PROGRAM_B [ARGUMENT_OF_B…]

#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

/// User and system time of one run, in microseconds; -1 when it cannot be run.
double run(char* const* argv) {
    posix_spawn_file_actions_t files{};
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", 1, 0);
    pid_t pid = -1;
    char* const none[] = {nullptr};
    const int failed = ::posix_spawn(&pid, argv[0], &files, nullptr, argv, none);
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    rusage used{};
    if (failed != 0 || ::wait4(pid, &status, 0, &used) != pid || status != 0) return -1;
    const auto micros = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
    };
    return micros(used.ru_utime) + micros(used.ru_stime);
}

double median(std::vector<double>& samples) {
    std::ranges::sort(samples);
    return samples[samples.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
    const auto count = argc < 4 ? 0 : static_cast<int>(std::strtol(argv[1], nullptr, 10));
    if (count < 1) return std::fputs("usage: probe_cost COUNT PROGRAM_A PROGRAM_B [ARGUMENT_OF_B...]\n", stderr), 2;
    std::vector<double> a, b;
    char* const first[] = {argv[2], nullptr};
    for (int i = 0; i < count; ++i) {
        a.push_back(run(first));
        b.push_back(run(argv + 3));
        if (a.back() < 0 || b.back() < 0) return std::fputs("probe_cost: a program failed\n", stderr), 1;
    }
    const double nothing = median(a), probe = median(b);
    std::printf("healthcheck, CPU us           p50 %6.0f   a static program that does nothing %6.0f   (%d)\n", probe, nothing, count);
    std::printf("ratio                         %6.2f       aim: at most 1.1\n", probe / nothing);
    return 0;
}
