#include "private_supervisor.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace sutfleet::test {
namespace fs = std::filesystem;

PrivateSupervisor::PrivateSupervisor(std::string program) : program_(std::move(program)) {
    const fs::path top = folder_.path();
    for (const auto* one : {"sut", "contexts/images", "state", "auth", "tree/bin", "tree/lib", "tree/lib-tls"}) fs::create_directories(top / one);
    set_programs("test");
}

PrivateSupervisor::~PrivateSupervisor() { stop(); }

void PrivateSupervisor::write_conf(const std::string& sut, std::string_view text) const {
    const auto written = sys::write_file_atomic(folder_.path() + "/sut/" + sut + ".conf", text, 0644, sys::Durability::fast);
    if (!written) throw std::runtime_error(written.error().message);
}

void PrivateSupervisor::set_programs(std::string_view build) const { std::ofstream(folder_.path() + "/tree/BUILD") << build << '\n'; }

void PrivateSupervisor::remove_conf(const std::string& sut) const { fs::remove(folder_.path() + "/sut/" + sut + ".conf"); }

void PrivateSupervisor::start(const std::string& crash_at) {
    std::vector<std::string> environment{"PATH=/usr/bin:/bin"};
    if (!crash_at.empty()) environment.push_back("SUTFLEET_CRASH_AT=" + crash_at);
    const auto top = folder_.path();
    const sys::UniqueFd log(::open((top + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const auto child = sys::spawn({{program_, "--stack", "lab", "--docker-host", engine.host(), "--broker", broker.url(), "--conf-dir",
                                    top + "/sut", "--context-dir", top + "/contexts", "--state-dir", top + "/state", "--auth-dir", top + "/auth", "--agent-tree", top + "/tree"},
                                   environment, {}, -1, log.get(), log.get()});
    if (!child) throw std::runtime_error(child.error().message);
    pid_ = child->pid;
}

void PrivateSupervisor::signal(int number) const { ::kill(pid_, number); }

bool PrivateSupervisor::runs() const { return pid_ > 0 && ::kill(pid_, 0) == 0 && ::waitpid(pid_, nullptr, WNOHANG) == 0; }

std::string PrivateSupervisor::log() const { return sys::read_file(folder_.path() + "/log", 64 * 1024 * 1024).value_or(""); }

std::chrono::nanoseconds PrivateSupervisor::cpu() const {
    long long total = 0;
    std::error_code gone;
    for (const auto& task : fs::directory_iterator("/proc/" + std::to_string(pid_) + "/task", gone)) {
        long long one = 0;
        std::ifstream(task.path() / "schedstat") >> one;
        total += one;
    }
    return std::chrono::nanoseconds(total);
}

std::chrono::nanoseconds PrivateSupervisor::main_cpu() const {
    long long one = 0;
    std::ifstream("/proc/" + std::to_string(pid_) + "/schedstat") >> one;
    return std::chrono::nanoseconds(one);
}

std::size_t PrivateSupervisor::resident_kib() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string word; status >> word;)
        if (std::size_t kib = 0; word == "VmRSS:" && status >> kib) return kib;
    return 0;
}

void PrivateSupervisor::stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    const auto ended = eventually([this] { return ::waitpid(pid_, nullptr, WNOHANG) != 0; });
    if (!ended) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
}

}  // namespace sutfleet::test
