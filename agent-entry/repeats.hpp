#pragma once
// Tells a repeat of a submit without an id from a second submit of the same text, as far as MQTT lets it. Pure.
//
// A redelivery (MQTT 5, 4.4) of what was accepted over an earlier connection, and whose acknowledgement was lost, has DUP
// and the same packet identifier. After a crash the broker may deliver again, without DUP, what it had delivered: for 60 s a text that equals one accepted in the 60 s
// before the loss is a repeat, if the broker did start anew. Until that is known it may be one.

#include <chrono>
#include <deque>
#include <optional>
#include <string>

#include "core/ids.hpp"
#include "core/submitter.hpp"
#include "core/timestamp.hpp"

namespace sutfleet::agent {

inline constexpr std::chrono::seconds k_repeat_window{60};

/// How a message came.
struct Arrival {
    bool dup = false;
    int packet = 0;  ///< identifier; 0 at QoS 0
    std::uint64_t connection = 1;  ///< of this life's, counted from 1
    SteadyTime since{};            ///< when that connection was made
    std::optional<SteadyTime> lost_before{};  ///< when the one before it was lost
    Submitter submitter{};
};

class Repeats {
  public:
    enum class Kind { none, redelivery, maybe, repeat };
    struct Verdict {
        Kind kind = Kind::none;
        std::optional<JobId> of{};
    };

    struct Text {
        JobId id;
        std::uint64_t content;     ///< digest
        int packet;
        WallTime at;
        std::uint64_t connection;  ///< 0: in an earlier life
    };
    /// A submit without an id was accepted.
    void accepted(Text text);
    /// Something of an earlier life that was done at this time: it lived then.
    void lived_at(WallTime at) { lived_until_ = std::max(lived_until_, at); }
    Verdict judge(std::uint64_t content, const Arrival& arrival, WallTime now, SteadyTime steady_now);

    /// What the broker said when it was asked how long it has run; none: it did not say, and may have crashed.
    /// @return whether it started anew since the last connection
    bool broker_ran_for(std::optional<std::chrono::seconds> uptime, SteadyTime now);

  private:
    void note_connection(const Arrival& arrival, WallTime now, SteadyTime steady_now);

    std::deque<Text> texts_;  ///< the newest, oldest first
    WallTime lived_until_{};
    std::uint64_t connection_ = 0;
    SteadyTime since_{};                 ///< this connection
    std::chrono::milliseconds away_{0};  ///< between the loss of the one before it and this one
    WallTime lost_{};                    ///< the one before it
    std::optional<bool> started_anew_;
};

}  // namespace sutfleet::agent
