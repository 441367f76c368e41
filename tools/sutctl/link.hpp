#pragma once
// The connection to the broker for the length of one command. Owns the session and its wake;
// watches the signals that end the command. Used by one thread.

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "connection.hpp"
#include "core/timestamp.hpp"
#include "mqtt/session.hpp"
#include "sys/signals.hpp"

namespace sutfleet::ctl {

struct Heard {
    enum class Kind { message, timeout, interrupted, settled, lost, back };
    Kind kind = Kind::timeout;
    mqtt::Message message;
};

class Link {
  public:
    /// Connects, or says why not and what to do.
    static Outcome<std::unique_ptr<Link>> open(const Connection& connection,
                                               std::vector<mqtt::Subscription> subscriptions,
                                               const sys::Signals& signals);
    ~Link();
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    /// What happens next. `settled` comes once: every retained message has been heard.
    Heard next(SteadyTime deadline);
    /// Publishes at QoS 1 and waits until the broker has it.
    /// @return false when the broker is away, or went away before it said so
    Outcome<bool> publish(const std::string& topic, const std::string& payload, const std::string& response_topic = {},
                          const mqtt::UserProperties& properties = {});
    [[nodiscard]] bool up() const { return session_->connected(); }

  private:
    Link(sys::Wake wake, const sys::Signals& signals) : wake_(std::move(wake)), signals_(signals) {}
    Outcome<> connect(const Connection& connection);
    void look();
    Heard lost(std::uint64_t heard_from);
    void wait(SteadyTime deadline) const;

    sys::Wake wake_;
    const sys::Signals& signals_;
    std::deque<mqtt::Message> inbox_;
    std::vector<mqtt::PublishId> acknowledged_;
    bool settled_ = false;
    bool up_ = true;
    std::uint64_t epoch_ = 0, heard_from_ = 0;  ///< the latter: the connection of the newest message
    std::unique_ptr<mqtt::Session> session_;  ///< last: it uses the wake
};

}  // namespace sutfleet::ctl
