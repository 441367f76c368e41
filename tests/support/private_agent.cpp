#include "private_agent.hpp"

#include <fcntl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "conf/agent_conf.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace sutfleet::test {
namespace {

constexpr std::size_t k_limit = 256 * 1024 * 1024;

}  // namespace

PrivateAgent::PrivateAgent(const std::string& program, const std::string& broker_url, const AgentRules& rules,
                           const std::string& crash_at, int out)
    : program_(program), broker_url_(broker_url), out_(out) {
    for (const auto* sub : {"/conf", "/state", "/run"}) std::filesystem::create_directories(folder_.path() + sub);
    deliver(rules);
    start(crash_at);
}

void PrivateAgent::deliver(const AgentRules& rules, const std::string& build) {
    const auto name = ".g" + std::to_string(++generation_);
    const auto conf_folder = folder_.path() + "/conf/";
    std::filesystem::create_directories(conf_folder + name);
    const AgentConf conf{*SutName::parse("alpha"), "test", broker_url_, "", build, rules};
    for (const auto& [file, text] : {std::pair{"agent.json", encode_agent_conf(conf)}, std::pair{".credential", std::string("x")}, std::pair{".ca.pem", authority_}})
        if (!sys::write_file_atomic(conf_folder + name + "/" + file, text, 0600, sys::Durability::fast))
            throw std::runtime_error("cannot write the agent's conf");
    std::filesystem::create_symlink(name, conf_folder + ".new");
    std::filesystem::rename(conf_folder + ".new", conf_folder + ".current");
}

void PrivateAgent::set_broker(const std::string& url, const std::string& authority) {
    broker_url_ = url;
    authority_ = authority;
}

void PrivateAgent::start(const std::string& crash_at) {
    const auto append_to = [&](const char* name) {
        return sys::UniqueFd(::open((folder_.path() + name).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    };
    const auto out = append_to("/out"), err = append_to("/err");
    std::vector<std::string> environment{"PATH=/usr/bin:/bin"};
    for (const auto* options : {"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "SSL_CERT_FILE"})
        if (const auto* value = std::getenv(options)) environment.push_back(std::string(options) + "=" + value);
    if (!crash_at.empty()) environment.push_back("SUTFLEET_CRASH_AT=" + crash_at);
    const auto child = sys::spawn({{program_, "--conf-dir", folder_.path() + "/conf", "--state-dir", folder_.path() + "/state",
                                    "--run-dir", folder_.path() + "/run", "--secrets-dir", folder_.path() + "/secrets"},
                                   environment, {}, -1, out_ < 0 ? out.get() : out_, err.get()});
    if (!child) throw std::runtime_error(child.error().message);
    pid_ = child->pid;
    code_.reset();
}

void PrivateAgent::stop(int number) {
    signal(number);
    if (!eventually([this] { return ended().has_value(); }, std::chrono::seconds{60})) throw std::runtime_error("the agent does not end");
}

void PrivateAgent::restart(int number) {
    stop(number);
    start();
}

PrivateAgent::~PrivateAgent() {
    if (ended()) return;
    ::kill(pid_, SIGTERM);
    if (!eventually([this] { return ended().has_value(); }, std::chrono::seconds{60})) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

void PrivateAgent::signal(int number) const { ::kill(pid_, number); }

std::optional<int> PrivateAgent::ended() {
    int status = 0;
    if (!code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
        code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return code_;
}

std::string PrivateAgent::log() const { return sys::read_file(folder_.path() + "/state/log/agent.log", k_limit).value_or(""); }
std::string PrivateAgent::out() const { return sys::read_file(folder_.path() + "/out", k_limit).value_or(""); }
std::string PrivateAgent::err() const { return sys::read_file(folder_.path() + "/err", k_limit).value_or(""); }
std::string PrivateAgent::heartbeat() const { return sys::read_file(folder_.path() + "/run/heartbeat", 4096).value_or(""); }

AgentRules shell_rules(const std::string& script, RestartPolicy restart) {
    AgentRules rules;
    rules.command = Command{{"/bin/sh", "-c", script}};
    rules.restart = restart;
    return rules;
}

}  // namespace sutfleet::test
