#pragma once
// One MQTT 5 session with the broker: connects, keeps its subscriptions, carries a will, and after a loss
// comes back by itself with full jitter. It owns a thread that connects; Paho's threads fill a bounded inbox
// and notify the owner's Wake. Nothing here ever blocks the owner or throws; the broker may be away for ever.
// Threads: one owner calls everything; `Intake` runs on Paho's thread.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "sys/wake.hpp"

namespace sutfleet::mqtt {

using UserProperties = std::vector<std::pair<std::string, std::string>>;

/// The connection that brought a message.
struct Origin {
    std::uint64_t number = 0;  ///< of the session's, counted from 1
    std::chrono::steady_clock::time_point since{};
    std::optional<std::chrono::steady_clock::time_point> lost_before{};  ///< when the one before it was lost
};

struct Message {
    std::string topic;
    std::string payload;
    int qos = 0;
    bool retain = false;  ///< as published (retain-as-published is always asked for)
    bool dup = false;     ///< a redelivery
    int packet_id = 0;    ///< of a QoS 1 message: the same when it is delivered again (MQTT 5, 4.4)
    Origin origin;
    std::string response_topic;
    std::string correlation_data;
    UserProperties user_properties;
};

struct Publication {
    std::string topic;
    std::string payload;
    int qos = 1;
    bool retain = false;
    UserProperties user_properties;
    std::string correlation_data;  ///< of the request that this answers; empty: none
    std::string response_topic;
    bool quiet = false;  ///< its acknowledgement is not told: one wake less
};

struct Subscription {
    std::string filter;
    int qos = 1;
    bool retained = false;  ///< whether the retained messages are wanted (MQTT 5, 3.8.3.1: retain handling)
    bool own = true;        ///< whether what this client publishes itself is wanted (as above: no local)
};

struct Will {
    std::string topic;
    std::string payload;  ///< published retained at QoS 1, at once
};

struct SessionOptions {
    std::string url;  ///< mqtt://host:port or ws://host:port; over TLS mqtts:// or wss://
    std::string ca;   ///< file of the authorities (PEM) of mqtts:// and wss://; empty: the system's
    std::string client_id;
    std::string user;
    std::function<std::string()> password;  ///< asked at each attempt, so a changed one is found
    std::optional<Will> will;
    std::chrono::seconds session_expiry{0};  ///< MQTT 5, 3.1.2.11.2; 0: the session ends with the connection
    bool clean_start = true;
    std::chrono::seconds keep_alive{10};
    std::vector<Subscription> subscriptions;
};

using PublishId = std::uint64_t;

/// What happened since the last look.
struct Drained {
    std::vector<Message> messages;
    std::vector<PublishId> acknowledged;  ///< by the broker (QoS 1), or sent (QoS 0)
    std::uint64_t dropped = 0;            ///< messages that found the inbox full
};

class Session {
  public:
    /// Called before the message is acknowledged to the broker: journal there what must not be lost.
    /// @return true when it was dealt with; false puts the message into the inbox.
    using Intake = std::function<bool(const Message&)>;

    static std::unique_ptr<Session> open(SessionOptions options, const sys::Wake& wake, Intake intake = {});
    virtual ~Session() = default;

    [[nodiscard]] virtual bool connected() const = 0;
    /// Counts the connections made: a change means that everything retained is to be published again, and that
    /// what was not acknowledged before is lost.
    [[nodiscard]] virtual std::uint64_t epoch() const = 0;
    /// Why the last attempt failed or the connection was lost; empty while connected.
    [[nodiscard]] virtual std::string last_error() const = 0;
    /// @return transient when there is no connection or k_window publications wait for the broker.
    virtual Result<PublishId> publish(Publication publication) = 0;
    [[nodiscard]] virtual Drained drain() = 0;
    /// For this connection only; what SessionOptions names is subscribed again at each connect.
    virtual Result<void> subscribe(const Subscription& wanted) = 0;
    virtual Result<void> unsubscribe(const std::string& filter) = 0;
    /// Goes on at another address of the broker, as after a lost connection.
    virtual void move_to(const std::string& url) = 0;
    /// Waits for what is in flight, then disconnects cleanly, so that the will is not published.
    virtual void close(std::chrono::milliseconds limit) = 0;
};

/// The client id of a program of the stack: the broker gives it to nobody but this user (broker/plugin).
[[nodiscard]] inline std::string own_client_id(const std::string& user) { return "sutfleet/" + user; }

inline constexpr std::size_t k_window = 512;       ///< publications in flight
inline constexpr std::size_t k_inbox_limit = 4096; ///< messages that the owner has not taken

/// Removes a client's session, with all that waits in it, from the broker.
Result<void> end_session(SessionOptions options, std::chrono::milliseconds limit);

}  // namespace sutfleet::mqtt
