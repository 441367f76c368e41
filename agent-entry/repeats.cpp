#include "repeats.hpp"

#include <algorithm>

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_texts = 1000;

}  // namespace

void Repeats::accepted(Text text) {
    lived_at(text.at);
    texts_.push_back(std::move(text));
    if (texts_.size() > k_texts) texts_.pop_front();
}

void Repeats::note_connection(const Arrival& arrival, WallTime now, SteadyTime steady_now) {
    if (arrival.connection == connection_) return;
    connection_ = arrival.connection;
    started_anew_.reset();
    since_ = arrival.since;
    lost_ = arrival.lost_before ? now - std::chrono::duration_cast<WallTime::duration>(steady_now - *arrival.lost_before) : lived_until_;
    away_ = std::chrono::duration_cast<std::chrono::milliseconds>((now - lost_) - (steady_now - since_));
}

Repeats::Verdict Repeats::judge(std::uint64_t content, const Arrival& arrival, WallTime now, SteadyTime steady_now) {
    note_connection(arrival, now, steady_now);
    const bool after_crash = started_anew_.value_or(true) && steady_now - since_ <= k_repeat_window;
    for (const auto& text : texts_) {
        if (text.content != content) continue;
        if (arrival.dup && arrival.packet != 0 && arrival.packet == text.packet) return {Kind::redelivery, text.id};
        if (after_crash && text.connection != arrival.connection && text.at >= lost_ - k_repeat_window) return {started_anew_ ? Kind::repeat : Kind::maybe, text.id};
    }
    return {};
}

bool Repeats::broker_ran_for(std::optional<std::chrono::seconds> uptime, SteadyTime now) {
    started_anew_ = !uptime || *uptime < away_ + (now - since_);
    return *started_anew_;
}

}  // namespace sutfleet::agent
