#include "mqtt/paho.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <thread>

// Paho sets no TCP_NODELAY, and then an answer waits 40 ms for Nagle's algorithm to meet a delayed ACK. It offers
// no option and no hook, so the program's own connect(2) stands before libc's and sets it.
extern "C" int connect(int fd, const struct sockaddr* address, socklen_t length) {
    if (address != nullptr && (address->sa_family == AF_INET || address->sa_family == AF_INET6)) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    return static_cast<int>(::syscall(SYS_connect, fd, address, length));
}

// Whenever nothing has come for a second, Paho C's receive thread sleeps for 100 ms (MQTTAsync_cycle), and what comes then
// waits. It does so by usleep(3), so that one, too, is the program's own: the sleep is only done where the wait before it did not wait,
// as without a connection.
extern "C" int usleep(useconds_t microseconds) {
    using namespace std::chrono_literals;
    static thread_local std::chrono::steady_clock::time_point woke{};
    const auto waited = std::chrono::steady_clock::now() - woke;
    if (microseconds != 100'000 || waited < 500ms) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    woke = std::chrono::steady_clock::now();
    return 0;
}

namespace sutfleet::mqtt {
namespace {

constexpr std::string_view k_mqtt = "mqtt://", k_mqtts = "mqtts://", k_wss = "wss://";

std::string paho_url(const std::string& url) {
    if (url.starts_with(k_mqtts)) return "ssl://" + url.substr(k_mqtts.size());
    return url.starts_with(k_mqtt) ? "tcp://" + url.substr(k_mqtt.size()) : url;
}

bool is_secure(const std::string& url) { return url.starts_with(k_mqtts) || url.starts_with(k_wss); }

/// The broker proves who it is: by a certificate of one of these authorities, for the name in the URL.
::mqtt::ssl_options ssl_options(const std::string& ca) {
    ::mqtt::ssl_options out;
    if (!ca.empty()) out.set_trust_store(ca);
    out.set_enable_server_cert_auth(true);
    out.set_verify(true);
    return out;
}

/// A token's wait cannot be interrupted, so it is done in parts: a close does not wait for a silent broker.
bool answered(::mqtt::token& token, std::chrono::milliseconds limit, const std::stop_token& stop) {
    constexpr std::chrono::milliseconds k_part{50};
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!token.wait_for(k_part))
        if (stop.stop_requested() || std::chrono::steady_clock::now() >= deadline) return false;
    return true;
}

/// Paho C knows a message's packet identifier, Paho C++ shows it to nobody; access does not count in an explicit
/// instantiation (C++20, temp.spec/6).
template <auto Member>
struct PacketId {
    friend int packet_id_of(const ::mqtt::message& message) { return (message.*Member).msgid; }
};
template struct PacketId<&::mqtt::message::msg_>;
int packet_id_of(const ::mqtt::message& message);

}  // namespace

::mqtt::message_ptr to_paho(Publication publication) {
    auto message =
        ::mqtt::make_message(std::move(publication.topic), std::move(publication.payload), publication.qos, publication.retain);
    ::mqtt::properties properties;
    for (const auto& [key, value] : publication.user_properties)
        properties.add(::mqtt::property(::mqtt::property::USER_PROPERTY, key, value));
    if (!publication.correlation_data.empty())
        properties.add(::mqtt::property(::mqtt::property::CORRELATION_DATA, publication.correlation_data));
    if (!publication.response_topic.empty())
        properties.add(::mqtt::property(::mqtt::property::RESPONSE_TOPIC, publication.response_topic));
    if (!properties.empty()) message->set_properties(properties);
    return message;
}

Message from_paho(const ::mqtt::message& message) {
    Message out;
    out.topic = message.get_topic();
    out.payload = message.get_payload_str();
    out.qos = message.get_qos();
    out.retain = message.is_retained();
    out.dup = message.is_duplicate();
    out.packet_id = packet_id_of(message);
    const auto& properties = message.get_properties();
    if (properties.contains(::mqtt::property::RESPONSE_TOPIC))
        out.response_topic = ::mqtt::get<std::string>(properties, ::mqtt::property::RESPONSE_TOPIC);
    if (properties.contains(::mqtt::property::CORRELATION_DATA))
        out.correlation_data = ::mqtt::get<std::string>(properties, ::mqtt::property::CORRELATION_DATA);
    const auto count = properties.count(::mqtt::property::USER_PROPERTY);
    for (std::size_t i = 0; i < count; ++i) {
        auto [key, value] = ::mqtt::get<::mqtt::string_pair>(properties, ::mqtt::property::USER_PROPERTY, i);
        out.user_properties.emplace_back(std::move(key), std::move(value));
    }
    return out;
}

::mqtt::connect_options connect_options(const SessionOptions& options) {
    ::mqtt::connect_options out;
    out.set_mqtt_version(MQTTVERSION_5);
    out.set_clean_start(options.clean_start);
    out.set_keep_alive_interval(options.keep_alive);
    out.set_connect_timeout(std::chrono::seconds{5});
    out.set_automatic_reconnect(false);
    out.set_max_inflight(static_cast<int>(k_window));
    if (is_secure(options.url)) out.set_ssl(ssl_options(options.ca));
    if (!options.user.empty()) out.set_user_name(options.user);
    if (options.password) out.set_password(options.password());
    if (options.will) out.set_will(::mqtt::message(options.will->topic, options.will->payload, 1, true));
    ::mqtt::properties properties;
    properties.add(::mqtt::property(::mqtt::property::SESSION_EXPIRY_INTERVAL,
                                    static_cast<int32_t>(options.session_expiry.count())));
    out.set_properties(properties);
    return out;
}

::mqtt::subscribe_options subscribe_options(const Subscription& wanted) {
    return ::mqtt::subscribe_options(
        !wanted.own, true,
            wanted.retained ? ::mqtt::subscribe_options::SEND_RETAINED_ON_SUBSCRIBE
                            : ::mqtt::subscribe_options::DONT_SEND_RETAINED);
}

std::unique_ptr<::mqtt::async_client> make_client(const SessionOptions& options) {
    // OpenSSL prepares itself when a connection needs it; Paho's older way loads all of it for any connection.
    static const bool prepared = [] {
        MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
        init.do_openssl_init = 0;
        MQTTAsync_global_init(&init);
        // It keeps a trace of all its calls in 140 KB of memory, also when nobody has asked for one.
        MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
        return true;
    }();
    static_cast<void>(prepared);
    return std::make_unique<::mqtt::async_client>(paho_url(options.url), options.client_id,
                                                  ::mqtt::create_options(MQTTVERSION_5), nullptr);
}

Result<void> establish(::mqtt::async_client& client, const SessionOptions& options,
                       std::chrono::milliseconds limit, const std::stop_token& stop) try {
    const auto connecting = client.connect(connect_options(options));
    if (!answered(*connecting, limit, stop)) return fail(ErrorKind::transient, "the broker does not answer");
    for (const auto& wanted : options.subscriptions) {
        const auto subscribing = client.subscribe(wanted.filter, wanted.qos, subscribe_options(wanted));
        if (!answered(*subscribing, limit, stop)) return fail(ErrorKind::transient, "no answer to a subscription");
    }
    return {};
} catch (const ::mqtt::exception& error) {
    return fail(ErrorKind::transient, error.what());
}

}  // namespace sutfleet::mqtt
