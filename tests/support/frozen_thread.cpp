#include "frozen_thread.hpp"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace sutfleet::test {
namespace {

pid_t find(pid_t process, const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        std::string comm;
        std::getline(std::ifstream(entry.path() / "comm"), comm);
        if (comm == name) return static_cast<pid_t>(std::stol(entry.path().filename().string()));
    }
    throw std::runtime_error("no thread " + name);
}

}  // namespace

FrozenThread::FrozenThread(pid_t process, const std::string& name) : thread_(find(process, name)) {
    if (::ptrace(PTRACE_SEIZE, thread_, nullptr, nullptr) != 0 || ::ptrace(PTRACE_INTERRUPT, thread_, nullptr, nullptr) != 0 ||
        ::waitpid(thread_, nullptr, __WALL) != thread_)
        throw std::runtime_error("the thread " + name + " cannot be stopped");
}

FrozenThread::~FrozenThread() { ::ptrace(PTRACE_DETACH, thread_, nullptr, nullptr); }

}  // namespace sutfleet::test
