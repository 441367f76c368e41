#include "program.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <stdexcept>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace sutfleet::test {
namespace {

constexpr std::size_t k_limit = 64 * 1024 * 1024;

std::vector<std::string> with_own(const Environment& extra) {
    std::vector<std::string> out;
    for (char** own = environ; *own != nullptr; ++own) {
        const std::string one(*own);
        const auto is_replaced = [&](const auto& pair) { return one.starts_with(pair.first + "="); };
        if (std::ranges::none_of(extra, is_replaced)) out.push_back(one);
    }
    for (const auto& [name, value] : extra) out.push_back(name + "=" + value);
    return out;
}

}  // namespace

Program::Program(std::vector<std::string> argv, const Environment& environment, const std::string& folder) {
    const auto append_to = [&](const char* name) {
        return sys::UniqueFd(::open((folder_.path() + name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    };
    const auto out = append_to("/out"), err = append_to("/err");
    const auto child = sys::spawn({std::move(argv), with_own(environment), folder, -1, out.get(), err.get()});
    if (!child) throw std::runtime_error(child.error().message);
    pid_ = child->pid;
}

Program::~Program() {
    if (ended()) return;
    ::kill(pid_, SIGTERM);
    if (eventually([this] { return ended().has_value(); }, std::chrono::seconds{60})) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

std::optional<int> Program::ended() {
    int status = 0;
    if (!code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
        code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return code_;
}

std::string Program::out() const {
    return sys::read_file(folder_.path() + "/out", k_limit).value_or("") + sys::read_file(folder_.path() + "/err", k_limit).value_or("");
}

bool Program::says(const std::string& text) const {
    return eventually([&] { return has(out(), text); }, std::chrono::seconds{60});
}

int Program::end(int signal) {
    ::kill(pid_, signal);
    return wait();
}

int Program::wait() {
    if (!eventually([this] { return ended().has_value(); }, std::chrono::seconds{120})) throw std::runtime_error("the program does not end");
    return *code_;
}

Ran run(std::vector<std::string> argv, const Environment& environment, const std::string& folder) {
    Program program(std::move(argv), environment, folder);
    const int code = program.wait();
    return {code, program.out()};
}

BlindSupervisor::BlindSupervisor(const std::string& program, const std::string& broker_url,
                                     const std::map<std::string, std::string>& confs, const Environment& environment) {
    for (const auto& [name, text] : confs) {
        const auto path = confs_.path() + "/" + name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        if (!sys::write_file_atomic(path, text, 0644, sys::Durability::fast)) throw std::runtime_error("cannot write " + path);
    }
    program_.emplace(std::vector<std::string>{program, "--conf-dir", confs_.path(), "--state-dir", state_.path(), "--auth-dir",
                                              state_.path(), "--broker", broker_url, "--docker-host",
                                              "unix://" + state_.path() + "/none.sock"}, environment);
}

}  // namespace sutfleet::test
