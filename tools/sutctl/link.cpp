#include "link.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Subscribed to last and always retained: when it comes, so have all the retained messages asked
/// for before it.
constexpr auto k_sentinel = "$SYS/broker/version";
constexpr auto k_connect_limit = 5s;
constexpr auto k_settle_limit = 2s;
constexpr auto k_publish_limit = 10s;

std::string random_client_id() {
    std::random_device random;
    std::string out = "sutctl-";
    for (int i = 0; i < 16; ++i) out += "0123456789abcdef"[random() % 16];
    return out;
}

/// MQTT 5, 3.2.2.2: 134 bad user name or password, 135 not authorised. The library gives them as
/// text.
bool is_refusal(const std::string& error) {
    for (const auto* part : {"134", "135", "ot authori", "ad user"})
        if (error.find(part) != std::string::npos) return true;
    return false;
}

Failure unreachable(const Connection& to, const std::string& why) {
    if (is_refusal(why))
        return {k_refused, "the broker at " + to.url + " refuses user '" + to.user +
                               "': the name and password from " + to.from +
                               " are not (or no longer) its own"};
    if (to.url.starts_with("mqtts://") || to.url.starts_with("wss://"))
        return {k_unreachable, "cannot reach the broker at " + to.url + " (" + why + "). Does it run, is " +
                                   (to.ca.empty() ? "SUTFLEET_CA its CA's file (not set now)" : to.ca + " its CA's certificate") +
                                   ", and does its own certificate have this name (SUTFLEET_TLS_NAMES in .env)?"};
    return {
        k_unreachable,
        "cannot reach the broker at " + to.url + " (" + why +
            "). Is the stack up? Start it by ./tools/up, or look at `docker ps` and `docker logs`"};
}

}  // namespace

Outcome<std::unique_ptr<Link>> Link::open(const Connection& connection,
                                          std::vector<mqtt::Subscription> subscriptions,
                                          const sys::Signals& signals) {
    auto wake = sys::Wake::open();
    if (!wake) return tl::make_unexpected(Failure{k_failed, wake.error().message});
    std::unique_ptr<Link> link(new Link(*std::move(wake), signals));
    mqtt::SessionOptions options;
    options.url = connection.url;
    options.ca = connection.ca;
    options.client_id = random_client_id();
    options.user = connection.user;
    options.password = [password = connection.password] { return password; };
    options.subscriptions = std::move(subscriptions);
    options.subscriptions.push_back({k_sentinel, 1, true});
    link->session_ = mqtt::Session::open(std::move(options), link->wake_);
    if (auto up = link->connect(connection); !up) return tl::make_unexpected(up.error());
    return link;
}

Link::~Link() {
    if (session_) session_->close(1s);
}

Outcome<> Link::connect(const Connection& connection) {
    const auto first_error = session_->last_error();
    const auto deadline = Clock::now() + k_connect_limit;
    while (!session_->connected()) {
        if (signals_.take()) return tl::make_unexpected(Failure{k_interrupted, ""});
        const auto why = session_->last_error();
        const bool failed = why != "not connected yet" && !why.empty();
        if (failed || Clock::now() >= deadline)
            return tl::make_unexpected(unreachable(connection, failed ? why : "no answer"));
        wait(deadline);
    }
    epoch_ = session_->epoch();
    return {};
}

void Link::wait(SteadyTime deadline) const {
    std::array<pollfd, 2> set{{{wake_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    ::poll(set.data(), set.size(), static_cast<int>(std::clamp<decltype(left)>(left, 0, 60'000)));
    wake_.clear();
}

void Link::look() {
    auto drained = session_->drain();
    std::ranges::move(drained.messages, std::back_inserter(inbox_));
    std::ranges::copy(drained.acknowledged, std::back_inserter(acknowledged_));
}

/// Told once for each loss, also for one that was over before anybody looked, and before what was heard after it.
Heard Link::lost(std::uint64_t heard_from) {
    up_ = false;
    heard_from_ = heard_from;
    return {Heard::Kind::lost, {}};
}

Heard Link::next(SteadyTime deadline) {
    const auto settle = Clock::now() + k_settle_limit;
    for (;;) {
        if (signals_.take()) return {Heard::Kind::interrupted, {}};
        look();
        while (!inbox_.empty()) {
            const auto from = inbox_.front().origin.number;
            const auto before = std::exchange(heard_from_, from);
            if (before != 0 && before != from && up_) return lost(from);
            auto message = std::move(inbox_.front());
            inbox_.pop_front();
            if (message.topic != k_sentinel) return {Heard::Kind::message, std::move(message)};
            if (!std::exchange(settled_, true)) return {Heard::Kind::settled, {}};
        }
        const bool up = session_->connected();
        if (up_ && (!up || session_->epoch() != epoch_)) return lost(0);
        if (up && !up_) {
            epoch_ = session_->epoch();
            heard_from_ = 0;
            up_ = true;
            return {Heard::Kind::back, {}};
        }
        // A broker without $SYS: after a while of silence nothing more is to come.
        if (!settled_ && Clock::now() >= settle) {
            settled_ = true;
            return {Heard::Kind::settled, {}};
        }
        if (Clock::now() >= deadline) return {Heard::Kind::timeout, {}};
        wait(settled_ ? deadline : std::min(deadline, settle));
    }
}

Outcome<bool> Link::publish(const std::string& topic, const std::string& payload, const std::string& response_topic,
                            const mqtt::UserProperties& properties) {
    mqtt::Publication publication;
    publication.topic = topic;
    publication.payload = payload;
    publication.response_topic = response_topic;
    publication.user_properties = properties;
    const auto connection = session_->epoch();
    const auto id = session_->publish(publication);
    if (!id) return false;
    const auto deadline = Clock::now() + k_publish_limit;
    while (std::ranges::find(acknowledged_, *id) == acknowledged_.end()) {
        if (signals_.take()) return tl::make_unexpected(Failure{k_interrupted, ""});
        // A new connection does not acknowledge what the old one sent.
        if (!session_->connected() || session_->epoch() != connection) return false;
        if (Clock::now() >= deadline)
            return tl::make_unexpected(
                Failure{k_unreachable, "the broker did not acknowledge the message on " + topic +
                                           ": this user may not write there"});
        wait(deadline);
        look();
    }
    return true;
}

}  // namespace sutfleet::ctl
