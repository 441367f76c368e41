#include "private_broker.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

extern "C" char** environ;

namespace sutfleet::test {
namespace {

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/// Binds the socket to a free port. @return the port.
int bind_free(const sys::UniqueFd& fd) {
    auto address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::runtime_error("no free port");
    return ntohs(address.sin_port);
}

bool answers(int port) {
    const sys::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = loopback(port);
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int free_port() {
    static std::mutex mutex;
    static std::set<int> had;
    const std::scoped_lock lock(mutex);
    for (;;)
        if (const int port = bind_free(sys::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))); had.insert(port).second) return port;
}

TempFolder::TempFolder() {
    const char* base = std::getenv("TMPDIR");
    std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/sutfleet-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
}

TempFolder::~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

/// A port that was free may be a client's by the time the broker takes it: then another one.
PrivateBroker::PrivateBroker(const std::string& extra_conf, const std::string& first) {
    for (int tries = 0; tries < 10; ++tries) {
        port_ = free_port();
        write_conf(extra_conf, first);
        if (try_start()) return;
    }
    throw std::runtime_error("the private broker does not start");
}

void PrivateBroker::write_conf(const std::string& extra_conf, const std::string& first) const {
    const auto conf = first + "listener " + std::to_string(port_) +
                      " 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nmax_queued_messages 100000\n"
                      "persistence true\nautosave_interval 1\nautosave_on_changes true\nuser root\npersistence_location " +
                      folder_.path() + "/\n" + extra_conf;
    if (!sys::write_file_atomic(folder_.path() + "/m.conf", conf, 0644, sys::Durability::fast))
        throw std::runtime_error("cannot write the broker's configuration");
}

PrivateBroker::~PrivateBroker() { kill(); }

void PrivateBroker::start() {
    if (!try_start()) throw std::runtime_error("the private broker ended at once");
}

bool PrivateBroker::try_start() {
    std::vector<std::string> environment;
    for (char** at = environ; *at != nullptr; ++at) environment.emplace_back(*at);
    const auto child = sys::spawn({{"/usr/sbin/mosquitto", "-c", folder_.path() + "/m.conf"}, environment, {}, -1, -1, -1});
    if (!child) throw std::runtime_error(child.error().message);
    pid_ = child->pid;
    const auto ended = [this] { return ::waitpid(pid_, nullptr, WNOHANG) == pid_; };
    bool gone = false;
    const bool known = eventually([&] { return (gone = ended()) || answers(port_); }, std::chrono::seconds{60});
    if (!known) throw std::runtime_error("the private broker does not answer");
    if (gone) pid_ = -1;
    return !gone;
}

void PrivateBroker::kill() { end(SIGKILL); }

void PrivateBroker::lose() {
    kill();
    std::filesystem::remove(folder_.path() + "/mosquitto.db");
}

void PrivateBroker::stop() { end(SIGTERM); }

void PrivateBroker::end(int signal) {
    if (pid_ <= 0) return;
    ::kill(pid_, signal);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

SilentServer::SilentServer()
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), port_(bind_free(fd_)) {
    // The kernel completes the connections that wait to be accepted.
    if (::listen(fd_.get(), 16) != 0) throw std::runtime_error("cannot listen");
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
    }
    return true;
}

}  // namespace sutfleet::test
