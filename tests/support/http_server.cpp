#include "http_server.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

namespace sutfleet::test {
namespace {

bool send_text(const sys::UniqueFd& to, const std::string& text) {
    std::size_t sent = 0;
    while (sent < text.size()) {
        const auto n = ::send(to.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return false;
        sent += static_cast<std::size_t>(n);
    }
    return true;
}

/// Until the other side is gone or we stop; `each` at every turn.
template <class Each>
void keep_open(const std::stop_token& stop, const sys::UniqueFd& client, const Each& each) {
    pollfd set{client.get(), POLLRDHUP, 0};
    while (!stop.stop_requested() && ::poll(&set, 1, 20) == 0 && each()) {
    }
}

}  // namespace

HttpServer::HttpServer() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd_.get(), raw, size) != 0 || ::listen(fd_.get(), 64) != 0 || ::getsockname(fd_.get(), raw, &size) != 0)
        throw std::runtime_error("cannot listen");
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

HttpServer::~HttpServer() { thread_.request_stop(); }

void HttpServer::serve(const std::stop_token& stop) {
    std::vector<std::jthread> clients;
    pollfd set{fd_.get(), POLLIN, 0};
    while (!stop.stop_requested()) {
        if (::poll(&set, 1, 20) <= 0) continue;
        const int client = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;
        ++asked_;
        clients.emplace_back([this, client](const std::stop_token& own) { answer(own, sys::UniqueFd(client)); });
    }
}

void HttpServer::answer(const std::stop_token& stop, const sys::UniqueFd& client) {
    std::string request(4096, '\0');
    const auto got = ::recv(client.get(), request.data(), request.size(), 0);
    request.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    const auto is = [&](const std::string& path) { return request.starts_with("GET " + path + " "); };
    const std::string ok = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    if (is("/ok")) send_text(client, ok + "Content-Length: 3\r\n\r\nhi\n");
    if (is("/500")) send_text(client, "HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    if (is("/cut")) send_text(client, ok + "Content-Length: 1000\r\n\r\nhi");
    if (is("/garbage")) send_text(client, std::string("\0\1\2\xff garbage | state: ok\n\n", 24));
    if (is("/nostatus")) send_text(client, "HTTP/" + std::string(40, '2') + "1.1 200 OK\r\nConnection: close\r\n\r\nhi");
    if (is("/loop")) send_text(client, "HTTP/1.1 302 F\r\nLocation: /loop\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    if (is("/file")) send_text(client, "HTTP/1.1 302 F\r\nLocation: file:///etc/hostname\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    if (is("/hang")) keep_open(stop, client, [] { return true; });
    if (is("/drip") && send_text(client, ok + "\r\n")) keep_open(stop, client, [&] { return send_text(client, "x"); });
    if (is("/endless") && send_text(client, ok + "\r\n"))
        keep_open(stop, client, [&] { return send_text(client, std::string(256 * 1024, 'x')); });
}

}  // namespace sutfleet::test
