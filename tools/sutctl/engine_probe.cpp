#include "engine_probe.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "sys/fd.hpp"

namespace sutfleet::ctl {
namespace {

using Kind = EngineTrouble::Kind;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t k_limit = 8 * 1024 * 1024;

auto trouble(Kind kind, std::string message) { return tl::make_unexpected(EngineTrouble{kind, std::move(message)}); }

bool ready(int fd, short event, Clock::time_point deadline) {
    pollfd one{fd, event, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return left > 0 && ::poll(&one, 1, static_cast<int>(left)) == 1;
}

tl::expected<sys::UniqueFd, EngineTrouble> connect_to(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0)
        return trouble(errno == EACCES ? Kind::no_rights : Kind::no_socket, path + ": " + std::strerror(errno));
    if (!S_ISSOCK(found.st_mode)) return trouble(Kind::no_socket, path + " is no socket");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return trouble(Kind::no_socket, path + " is too long for a socket");
    std::memcpy(address.sun_path, path.c_str(), path.size());
    sys::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return trouble(Kind::no_answer, std::strerror(errno));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    const auto kind = errno == EACCES || errno == EPERM ? Kind::no_rights : errno == ECONNREFUSED ? Kind::nobody_listens : Kind::no_answer;
    return trouble(kind, path + ": " + std::strerror(errno));
}

}  // namespace

tl::expected<EngineAnswer, EngineTrouble> ask_engine(const std::string& socket, const std::string& path) {
    const auto fd = connect_to(socket);
    if (!fd) return tl::make_unexpected(fd.error());
    const auto deadline = Clock::now() + 5s;
    // HTTP/1.0: the answer ends with the connection, and is never in chunks.
    const auto request = "GET " + path + " HTTP/1.0\r\nHost: engine\r\n\r\n";
    if (::send(fd->get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
        return trouble(Kind::no_answer, socket + ": " + std::strerror(errno));
    std::string all;
    std::array<char, 16384> part{};
    for (;;) {
        if (!ready(fd->get(), POLLIN, deadline)) return trouble(Kind::no_answer, socket + " gives no answer in 5 s");
        const auto got = ::recv(fd->get(), part.data(), part.size(), 0);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got <= 0 || all.size() > k_limit) break;
        all.append(part.data(), static_cast<std::size_t>(got));
    }
    EngineAnswer out;
    const auto blank = all.find("\r\n\r\n");
    const bool is_http = all.starts_with("HTTP/1.") && all.size() > 12 && blank != std::string::npos;
    if (!is_http || std::from_chars(all.data() + 9, all.data() + 12, out.status).ec != std::errc{})
        return trouble(Kind::no_answer, socket + " does not answer as an engine does");
    out.body = all.substr(blank + 4);
    return out;
}

}  // namespace sutfleet::ctl
