#include "metrics_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "sys/clock.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;

constexpr auto k_limit = 2s;
constexpr std::size_t k_request_limit = 8192;
constexpr std::string_view k_unix = "unix://", k_tcp = "tcp://";

Result<sys::UniqueFd> listen_on(const sockaddr* address, socklen_t size, const std::string& where) {
    sys::UniqueFd fd(::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int yes = 1;
    if (!fd) return fail(errno_error("metrics on " + where, errno));
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(fd.get(), address, size) != 0 || ::listen(fd.get(), 16) != 0) return fail(errno_error("metrics on " + where, errno));
    return fd;
}

Result<sys::UniqueFd> listen_unix(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return fail(ErrorKind::invalid_input, "metrics: expected a path of 1 to 107 bytes after unix://, not '" + path + "'");
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat old {};
    if (::lstat(path.c_str(), &old) == 0 && S_ISSOCK(old.st_mode)) ::unlink(path.c_str());
    auto fd = listen_on(reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
    if (fd) ::chmod(path.c_str(), 0660);
    return fd;
}

Result<sys::UniqueFd> listen_tcp(const std::string& place) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    const auto colon = place.rfind(':');
    std::uint16_t port = 0;
    const char* end = place.data() + place.size();
    bool right = colon != std::string::npos && ::inet_pton(AF_INET, place.substr(0, colon).c_str(), &address.sin_addr) == 1;
    if (right) {
        const auto parsed = std::from_chars(place.data() + colon + 1, end, port);
        right = parsed.ec == std::errc{} && parsed.ptr == end && port != 0;
    }
    if (!right) return fail(ErrorKind::invalid_input, "metrics: expected tcp://127.0.0.1:port, not 'tcp://" + place + "'");
    address.sin_port = htons(port);
    return listen_on(reinterpret_cast<const sockaddr*>(&address), sizeof address, place);
}

/// Waits until the socket is ready for it. @return false when the time is over
bool ready(int fd, short events, SteadyTime until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - sys::steady_now()).count();
    pollfd set{fd, events, 0};
    return left > 0 && ::poll(&set, 1, static_cast<int>(left)) > 0;
}

}  // namespace

std::string metrics_answer(const std::string& request, const std::function<std::string()>& text) {
    const auto answer = [](const std::string& status, const std::string& body) {
        return "HTTP/1.1 " + status + "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: " +
               std::to_string(body.size()) + "\r\nConnection: close\r\n\r\n" + body;
    };
    const auto path = request.starts_with("GET ") ? request.substr(4, request.find_first_of(" ?\r", 4) - 4) : std::string();
    if (path == "/metrics") return answer("200 OK", text());
    if (path.empty()) return answer("405 Method Not Allowed", "expected GET /metrics\n");
    return answer("404 Not Found", "expected /metrics\n");
}

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const std::string& address, std::function<std::string()> text) {
    auto listener = address.starts_with(k_unix)  ? listen_unix(address.substr(k_unix.size()))
                    : address.starts_with(k_tcp) ? listen_tcp(address.substr(k_tcp.size()))
                                                 : Result<sys::UniqueFd>(fail(ErrorKind::invalid_input,
                                                       "metrics: expected unix:///path or tcp://127.0.0.1:port, not '" + address + "'"));
    if (!listener) return fail(listener.error());
    return std::unique_ptr<MetricsServer>(new MetricsServer(*std::move(listener), std::move(text)));
}

MetricsServer::MetricsServer(sys::UniqueFd listener, std::function<std::string()> text)
    : listener_(std::move(listener)), text_(std::move(text)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

MetricsServer::~MetricsServer() {
    thread_.request_stop();
    ::shutdown(listener_.get(), SHUT_RDWR);  // ends the wait for a client
}

void MetricsServer::serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
        pollfd set{listener_.get(), POLLIN, 0};
        if (::poll(&set, 1, -1) <= 0) continue;
        const sys::UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (client) answer(client.get());
    }
}

void MetricsServer::answer(int client) const {
    const auto until = sys::steady_now() + k_limit;
    std::string request;
    std::array<char, 2048> part{};
    while (request.find("\r\n\r\n") == std::string::npos) {
        if (request.size() > k_request_limit || !ready(client, POLLIN, until)) return;
        const auto got = ::recv(client, part.data(), part.size(), 0);
        if (got <= 0) return;
        request.append(part.data(), static_cast<std::size_t>(got));
    }
    const auto all = metrics_answer(request, text_);
    for (std::string_view left = all; !left.empty();) {
        if (!ready(client, POLLOUT, until)) return;
        const auto sent = ::send(client, left.data(), left.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        left.remove_prefix(static_cast<std::size_t>(sent));
    }
}

}  // namespace sutfleet
