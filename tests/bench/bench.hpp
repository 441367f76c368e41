#pragma once
// What the benchmarks of an agent share: a client that waits for what it hears, the bare costs that a figure is
// measured against, and the percentiles. A benchmark that cannot go on throws.

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "core/topics.hpp"
#include "mqtt/session.hpp"
#include "sys/clock.hpp"
#include "sys/process.hpp"

namespace sutfleet::bench {

using Millis = std::chrono::duration<double, std::milli>;

inline constexpr const char* k_ping = "bench/ping";
inline constexpr const char* k_there = "bench/there";  ///< what another client answers by k_back
inline constexpr const char* k_back = "bench/back";

[[noreturn]] inline void give_up(const std::string& why) { throw std::runtime_error(why); }

inline double since(SteadyTime start) { return Millis(sys::steady_now() - start).count(); }

/// Both sides of a comparison start from rest.
inline void rest() { ::poll(nullptr, 0, 10); }

class Client {
  public:
    explicit Client(mqtt::SessionOptions options)
        : wake_(*sys::Wake::open()), session_(mqtt::Session::open(std::move(options), wake_)) {
        wait([&](const mqtt::Message*) { return session_->connected(); });
    }
    void publish(std::string topic, std::string payload) {
        mqtt::Publication publication;
        publication.topic = std::move(topic);
        publication.payload = std::move(payload);
        if (!session_->publish(publication)) give_up("the connection is gone");
    }
    void subscribe(const std::string& filter) {
        if (!session_->subscribe({filter, 1, false})) give_up("cannot subscribe to " + filter);
    }
    /// Asks `found` of each message, and of none at first, after each wake and every 100 ms.
    template <typename Found>
    void wait(Found found, std::chrono::seconds limit = std::chrono::seconds{30}) {
        const auto until = sys::steady_now() + limit;
        while (sys::steady_now() < until) {
            wake_.clear();
            bool done = found(nullptr);
            for (const auto& message : session_->drain().messages) done = found(&message) || done;
            if (done) return;
            pollfd set{wake_.fd(), POLLIN, 0};
            ::poll(&set, 1, 100);
        }
        give_up("no answer within " + std::to_string(limit.count()) + " s");
    }

  private:
    sys::Wake wake_;
    std::unique_ptr<mqtt::Session> session_;
};

/// A client that hears itself and one SUT. Each function takes one sample, in milliseconds.
class Submitter {
  public:
    Submitter(mqtt::SessionOptions options, const SutName& sut) : sut_(sut), client_(listening(std::move(options), sut)) {}

    /// Through the broker once, to ourselves.
    double round_trip() { return until_heard(k_ping, k_ping); }
    /// Through it twice, by way of another client.
    double there_and_back() { return until_heard(k_there, k_back); }
    /// Publishes, and waits for a message on `level` with `text` in it, then, untimed, for `ready`.
    double submit(const std::string& payload, std::string_view level, const std::string& text, bool until_ready = true) {
        const auto start = sys::steady_now();
        double took = -1;
        client_.publish(topic(k_submit), payload);
        client_.wait([&](const mqtt::Message* message) {
            if (message == nullptr) return false;
            if (took < 0 && message->topic == topic(level) && message->payload.find(text) != std::string::npos) took = since(start);
            return took >= 0 && (!until_ready || ready(*message));
        });
        return took;
    }
    [[nodiscard]] bool ready(const mqtt::Message& message) const {
        return message.topic == topic(k_submit_status) && message.payload.starts_with("ready");
    }
    [[nodiscard]] std::string topic(std::string_view level) const { return topics_.of(sut_, level); }
    [[nodiscard]] Client& client() { return client_; }

  private:
    double until_heard(const char* ask, const char* answer) {
        const auto start = sys::steady_now();
        client_.publish(ask, "ping");
        client_.wait([&](const mqtt::Message* message) { return message != nullptr && message->topic == answer; });
        return since(start);
    }
    mqtt::SessionOptions listening(mqtt::SessionOptions options, const SutName& sut) const {
        options.subscriptions = {{k_ping, 1, false}, {k_back, 1, false}};
        for (const auto level : {k_output, k_submit_status, k_last_job}) options.subscriptions.push_back({topics_.of(sut, level), 1, false});
        return options;
    }
    const Topics topics_{std::string()};
    const SutName sut_;
    Client client_;
};

/// From the spawn of a shell to its first byte.
inline double spawn_and_read_line() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    const auto start = sys::steady_now();
    const auto child = sys::spawn({{"/bin/sh", "-c", "echo line"}, {}, {}, -1, ends[1], -1});
    if (!child) give_up(child.error().message);
    char byte = 0;
    if (::read(ends[0], &byte, 1) != 1) give_up("read");
    const auto took = since(start);
    ::close(ends[0]);
    ::close(ends[1]);
    while (!sys::reap_one()) ::poll(nullptr, 0, 1);
    return took;
}

using Samples = std::vector<double>;

inline double at(Samples& samples, double share) {
    std::ranges::sort(samples);
    return samples[std::min(samples.size() - 1, static_cast<std::size_t>(share * static_cast<double>(samples.size())))];
}

/// Samples that look like Nagle's algorithm waiting for a delayed ACK.
inline long delayed_acks(const Samples& samples) {
    return static_cast<long>(std::ranges::count_if(samples, [](double ms) { return ms >= 38 && ms <= 50; }));
}

}  // namespace sutfleet::bench
