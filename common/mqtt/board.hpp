#pragma once
// The retained topics of one client as they should be: publishes what changed, again what the broker may have
// lost, and forgets nothing while the broker is away. One thread.

#include <chrono>
#include <map>
#include <set>
#include <string>

#include "core/timestamp.hpp"
#include "mqtt/session.hpp"

namespace sutfleet::mqtt {

class Board {
  public:
    /// An unchanged payload is not published again before its time. Never empty: see `clear`.
    void set(const std::string& topic, std::string payload);
    /// Like `set`, but published at the next flush even if unchanged.
    void refresh(const std::string& topic, std::string payload);
    /// Removes the topic from the broker.
    void clear(const std::string& topic);
    /// Says no more about the topic, and leaves what the broker has.
    void forget(const std::string& topic);
    [[nodiscard]] std::string get(const std::string& topic) const;
    /// Publishes what is due; what cannot be published now stays due.
    void flush(Session& session, SteadyTime now);
    [[nodiscard]] bool clean() const { return dirty_.empty(); }

  private:
    std::map<std::string, std::string> wanted_;  ///< empty payload: to be cleared
    std::set<std::string> dirty_;
    std::set<std::string> long_cleared_;  ///< since all was last published
    std::uint64_t epoch_ = 0;
    SteadyTime all_at_{};
};

/// A retained tree that somebody deleted is whole again after this.
inline constexpr std::chrono::seconds k_republish_all{60};

}  // namespace sutfleet::mqtt
