// freeze_thread PID NAME: stops one thread of a process until stdin ends or the process does. Says `frozen` when it is done.

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "frozen_thread.hpp"

int main(int argc, char** argv) try {
    if (argc != 3) return std::fputs("usage: freeze_thread PID NAME\n", stderr), 2;
    const sutfleet::test::FrozenThread frozen(static_cast<pid_t>(std::atol(argv[1])), argv[2]);
    std::puts("frozen");
    std::fflush(stdout);
    pollfd in{STDIN_FILENO, POLLIN, 0};
    // A thread that was killed stays until who traces it has seen that.
    while (::poll(&in, 1, 50) == 0)
        if (int status = 0; ::waitpid(-1, &status, WNOHANG | __WALL) > 0 && !WIFSTOPPED(status)) break;
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "freeze_thread: %s\n", error.what());
    return 1;
}
