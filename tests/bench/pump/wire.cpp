#include "wire.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "line.hpp"

namespace sutfleet::bench {
namespace {

constexpr std::uint32_t k_session_life = 3600;
constexpr std::size_t k_read = 512 * 1024;

std::string u16(std::size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }
std::string text(std::string_view value) { return u16(value.size()) + std::string(value); }

std::string packet(int type, const std::string& body) {
    std::string out(1, static_cast<char>(type));
    for (auto size = body.size();;) {
        const auto low = size % 128;
        size /= 128;
        out += static_cast<char>(size > 0 ? low | 0x80 : low);
        if (size == 0) return out + body;
    }
}

/// A variable byte integer (MQTT 5, 1.5.5) at `at`, which moves behind it. @return nothing: not all of it is there
std::optional<std::size_t> variable(std::string_view bytes, std::size_t& at) {
    std::size_t value = 0;
    for (unsigned shift = 0; at < bytes.size(); shift += 7) {
        const auto byte = static_cast<unsigned char>(bytes[at++]);
        value |= std::size_t{byte & 0x7fU} << shift;
        if ((byte & 0x80) == 0) return value;
    }
    return std::nullopt;
}

std::string_view take_text(std::string_view& from) {
    const auto size = static_cast<std::size_t>(static_cast<unsigned char>(from[0])) * 256 + static_cast<unsigned char>(from[1]);
    const auto out = from.substr(2, size);
    from.remove_prefix(2 + size);
    return out;
}

sys::UniqueFd connected_socket(int port) {
    sys::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up("no broker");
    return fd;
}

void send_all(const sys::UniqueFd& fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto put = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (put <= 0) give_up("the broker is gone");
        bytes.remove_prefix(static_cast<std::size_t>(put));
    }
}

std::string connect_packet(const std::string& client, bool clean) {
    const std::string expiry{0x11, 0, 0, static_cast<char>(k_session_life >> 8), static_cast<char>(k_session_life & 0xff)};
    return packet(0x10, text("MQTT") + '\x05' + (clean ? '\x02' : '\0') + u16(0) + static_cast<char>(expiry.size()) + expiry + text(client));
}

std::string client_name(const char* what) {
    static std::atomic<int> count{0};
    return std::string(what) + std::to_string(++count);
}

}  // namespace

LineReader::LineReader(int port, std::string filter) : port_(port), filter_(std::move(filter)), client_(client_name("line-reader")) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    for (int i = 0; !subscribed_; ++i) {
        if (i == 5000) give_up("the broker does not answer a subscription");
        ::poll(nullptr, 0, 1);
    }
}

LineReader::~LineReader() { thread_.request_stop(); }

Samples LineReader::latencies() {
    const std::scoped_lock lock(mutex_);
    return latencies_;
}

void LineReader::run(const std::stop_token& stop) {
    while (!stop.stop_requested()) try {
            connect();
            listen(stop);
        } catch (const std::exception&) {
            ::poll(nullptr, 0, 20);
        }
}

void LineReader::connect() {
    fd_ = connected_socket(port_);
    send_all(fd_, connect_packet(client_, false));
    send_all(fd_, packet(0x82, u16(1) + '\0' + text(filter_) + '\x21'));  // QoS 1, no retained messages
}

void LineReader::listen(const std::stop_token& stop) {
    std::string buffer(k_read, '\0');
    std::size_t have = 0;
    while (!stop.stop_requested()) {
        pollfd one{fd_.get(), POLLIN, 0};
        if (::poll(&one, 1, 50) == 0) continue;
        const auto got = ::recv(fd_.get(), buffer.data() + have, buffer.size() - have, 0);
        if (got <= 0) return static_cast<void>(::poll(nullptr, 0, 20));
        have += static_cast<std::size_t>(got);
        const auto taken = take_packets({buffer.data(), have});
        std::memmove(buffer.data(), buffer.data() + taken, have -= taken);
        if (!answers_.empty()) send_all(fd_, std::exchange(answers_, {}));
    }
}

std::size_t LineReader::take_packets(std::string_view bytes) {
    for (std::size_t taken = 0;;) {
        auto at = taken + 1;
        if (at >= bytes.size()) return taken;
        const auto size = variable(bytes, at);
        if (!size || at + *size > bytes.size()) return taken;
        const auto type = static_cast<unsigned char>(bytes[taken]);
        if (type >> 4 == 3) take_publish(bytes.substr(at, *size), type >> 1 & 3);
        if (type >> 4 == 9) subscribed_ = true;
        taken = at + *size;
    }
}

void LineReader::take_publish(std::string_view packet, int qos) {
    take_text(packet);
    if (qos > 0) {
        answers_ += std::string("\x40\x02") + std::string(packet.substr(0, 2));
        packet.remove_prefix(2);
    }
    std::size_t at = 0;
    const auto size = variable(packet, at).value_or(0);
    auto properties = packet.substr(at, size);
    const auto payload = packet.substr(at + size);
    std::map<std::string_view, std::string_view> named;
    while (!properties.empty()) {
        if (properties.front() != 0x26) give_up("a property that is no user property");
        properties.remove_prefix(1);
        const auto key = take_text(properties);
        named[key] = take_text(properties);
    }
    if (!named.contains("offset")) return take_lines(payload);
    const auto offset = digits(named["offset"]), end = offset + digits(named["bytes"]);
    const auto id = std::string(named["boot"]) + " " + std::string(named["stream"]) + " " + std::string(named["job"]);
    auto& had = ends_.try_emplace(id, offset).first->second;
    const auto again = had > offset ? std::min(had, end) - offset : 0;
    repeated_ += again;
    had = std::max(had, end);
    if (again < payload.size()) take_lines(payload.substr(again));
}

void LineReader::take_lines(std::string_view text) {
    const auto now = monotonic_ns();
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        take_line(text.substr(0, end), now);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    last_ns_ = now;
}

void LineReader::take_line(std::string_view line, std::int64_t now) {
    const auto number = digits(line.substr(0, k_number));
    if (number < next_) {
        ++doubled_;
        return;
    }
    lost_ += number - next_;
    next_ = number + 1;
    ++lines_;
    if (line.size() + 1 < k_stamped || line[k_number + 1] == '.') return;
    const auto stamp = static_cast<std::int64_t>(digits(line.substr(k_number + 1, k_stamp)));
    if (stamp == 0) return;
    const std::scoped_lock lock(mutex_);
    latencies_.push_back(static_cast<double>(now - stamp) / 1e6);
}

LinePublisher::LinePublisher(int port) : fd_(connected_socket(port)) {
    send_all(fd_, connect_packet(client_name("line-publisher"), true));
    char answer[64];
    if (::recv(fd_.get(), answer, sizeof answer, 0) <= 0) give_up("the broker does not answer");
}

void LinePublisher::publish(const std::string& topic, std::string_view line) {
    send_all(fd_, packet(0x32, text(topic) + u16(1) + '\0' + std::string(line)));
    char answer[64];
    if (::recv(fd_.get(), answer, sizeof answer, 0) <= 0) give_up("the broker does not answer");
}

}  // namespace sutfleet::bench
