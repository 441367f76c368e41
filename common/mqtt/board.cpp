#include "mqtt/board.hpp"

#include "sys/crash_point.hpp"

namespace sutfleet::mqtt {

void Board::set(const std::string& topic, std::string payload) {
    auto& wanted = wanted_[topic];
    if (wanted == payload) return;
    payload.shrink_to_fit();  // it is kept; what a serializer reserved would be as much again
    wanted = std::move(payload);
    dirty_.insert(topic);
    long_cleared_.erase(topic);
}

void Board::refresh(const std::string& topic, std::string payload) {
    long_cleared_.erase(topic);
    wanted_[topic] = std::move(payload);
    dirty_.insert(topic);
}

void Board::clear(const std::string& topic) {
    wanted_[topic].clear();
    dirty_.insert(topic);
}

void Board::forget(const std::string& topic) {
    wanted_.erase(topic);
    dirty_.erase(topic);
}

std::string Board::get(const std::string& topic) const {
    const auto found = wanted_.find(topic);
    return found == wanted_.end() ? std::string() : found->second;
}

void Board::flush(Session& session, SteadyTime now) {
    if (!session.connected()) return;
    if (session.epoch() != epoch_ || now >= all_at_) {
        // What was cleared is known to be so once a connection has lasted for as long as all of this: a broker that is killed
        // comes back with what it saved before, and says again what was cleared since.
        if (session.epoch() == epoch_)
            for (const auto& topic : long_cleared_)
                if (!dirty_.contains(topic) && wanted_[topic].empty()) wanted_.erase(topic);
        epoch_ = session.epoch();
        all_at_ = now + k_republish_all;
        long_cleared_.clear();
        for (const auto& [topic, payload] : wanted_) {
            dirty_.insert(topic);
            if (payload.empty()) long_cleared_.insert(topic);
        }
    }
    const bool due = !dirty_.empty();
    for (auto at = dirty_.begin(); at != dirty_.end(); at = dirty_.erase(at)) {
        const auto& payload = wanted_[*at];
        Publication publication;
        publication.topic = *at;
        publication.payload = payload;
        publication.quiet = true;
        publication.retain = true;
        if (!session.publish(publication)) return;
    }
    if (due) sys::crash_point("retained: published");
}

}  // namespace sutfleet::mqtt
