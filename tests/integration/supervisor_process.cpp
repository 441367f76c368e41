// The supervisor's program where the engine is not as it should be.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "docker/docker_engine.hpp"
#include "private_broker.hpp"
#include "sys/fd.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::has;

namespace {

struct Ran {
    int exit = -1;
    std::string out;  ///< stdout and stderr
};

Ran run(const std::string& line) {
    Ran ran;
    FILE* pipe = ::popen((line + " 2>&1").c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::array<char, 4096> part{};
    for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;) ran.out.append(part.data(), got);
    ran.exit = WEXITSTATUS(::pclose(pipe));
    return ran;
}

/// A socket that takes each connection, sends the same bytes, and closes or hangs.
class FalseEngine {
  public:
    FalseEngine(std::string answer, bool hangs = false) : answer_(std::move(answer)), hangs_(hangs) {
        path_ = folder_.path() + "/engine.sock";
        listener_ = sys::UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
        REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(listener_.get(), 8) == 0);
        thread_ = std::jthread([this] { serve(); });
    }
    ~FalseEngine() { ::shutdown(listener_.get(), SHUT_RDWR); }
    FalseEngine(const FalseEngine&) = delete;
    FalseEngine& operator=(const FalseEngine&) = delete;
    [[nodiscard]] std::string host() const { return "unix://" + path_; }
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    void serve() {
        for (;;) {
            sys::UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!connection) return;
            std::array<char, 4096> request{};
            [[maybe_unused]] const auto got = ::read(connection.get(), request.data(), request.size());
            [[maybe_unused]] const auto sent = ::send(connection.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
            if (hangs_) kept_.push_back(std::move(connection));
        }
    }
    test::TempFolder folder_;
    const std::string answer_;
    const bool hangs_;
    std::string path_;
    sys::UniqueFd listener_;
    std::vector<sys::UniqueFd> kept_;
    std::jthread thread_;
};

std::string http(const std::string& body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Result<std::vector<FoundContainer>> ask(const FalseEngine& engine) {
    return (*docker::open_docker(engine.host()))->agents("test");
}

}  // namespace

TEST_CASE("supervisor: no engine's socket is said with its path and what to do; nothing ends for it") {
    const test::TempFolder folder;
    const auto base = "timeout 3 " SUPERVISOR " --conf-dir " + folder.path() + " --state-dir " + folder.path() +
                      "/state --auth-dir " + folder.path() + " --broker mqtt://127.0.0.1:1 ";
    const auto plan = run(base + "--plan --docker-host unix://" + folder.path() + "/none.sock");
    CHECK(plan.exit == 1);
    CHECK(has(plan.out, folder.path() + "/none.sock"));
    CHECK(has(plan.out, "is the container engine running?"));
    const auto waits = run(base + "--docker-host unix://" + folder.path() + "/none.sock");
    CHECK(waits.exit == 124);  // it ran on until it was stopped
    CHECK(has(waits.out, "is the container engine running?"));
    CHECK(run(base + "--plan --docker-host ftp://x").exit == 1);
    CHECK(has(run(base + "--plan --docker-host ftp://x").out, "expected unix:///path or tcp://host:port"));
    CHECK(run(base + "--no-such-option").exit == 2);
}

TEST_CASE("supervisor: no rights on the socket are told apart from no engine") {
    if (::geteuid() != 0) return;  // only root can become somebody without rights; the gate runs as root
    const FalseEngine engine("");
    REQUIRE(::chmod(engine.path().c_str(), 0600) == 0);
    const test::TempFolder folder;
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    const auto parent = engine.path().substr(0, engine.path().rfind('/'));
    REQUIRE(::chmod(parent.c_str(), 0755) == 0);
    const auto plan = run("cd / && setpriv --reuid 65534 --regid 65534 --clear-groups " SUPERVISOR " --plan --conf-dir " + folder.path() +
                          " --state-dir " + folder.path() + " --docker-host " + engine.host());
    CHECK(plan.exit == 1);
    CHECK_MESSAGE(has(plan.out, "no rights on it"), plan.out);
}

TEST_CASE("engine: an answer that is cut off, not HTTP, not JSON, absurd or too large is an error, and no crash") {
    CHECK_FALSE(ask(FalseEngine("")));
    CHECK_FALSE(ask(FalseEngine("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"ApiVersion\"")));
    CHECK_FALSE(ask(FalseEngine("SSH-2.0-OpenSSH_9\r\n")));
    const auto no_status = ask(FalseEngine("HTTP/" + std::string(40, '2') + "1.1 200 OK\r\n\r\n" R"({"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10"})"));
    REQUIRE_FALSE(no_status);
    CHECK_MESSAGE(has(no_status.error().message, "Weird server reply"), no_status.error().message);
    CHECK_FALSE(ask(FalseEngine(http("<html>"))));
    CHECK_FALSE(ask(FalseEngine(http("{}"))));
    CHECK_FALSE(ask(FalseEngine(http(R"({"ApiVersion":"1.12","MinAPIVersion":"1.12","Version":"1.10"})"))));
    // The same answer to every call: the version is right, the list is none.
    const auto list = ask(FalseEngine(http(R"({"ApiVersion":"1.41","MinAPIVersion":"1.12","Version":"20.10"})")));
    CHECK_FALSE(list);
    const auto large = ask(FalseEngine("HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n" + std::string(80'000'000, ' ')));
    REQUIRE_FALSE(large);
    CHECK(has(large.error().message, "too large"));
}

TEST_CASE("engine: one that hangs costs its deadline, not for ever") {
    const FalseEngine engine("HTTP/1.1 200 OK\r\n", true);
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(ask(engine));
    CHECK(std::chrono::steady_clock::now() - start < 30s);
}
