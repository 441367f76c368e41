#pragma once
// When something that comes back is run: a renewal or a probe. Pure. Starts are counted from start to start, so that a
// slow run does not shift the next; what was missed is not made up for.

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/backoff.hpp"
#include "core/timestamp.hpp"

namespace sutfleet::agent {

/// The next time of what all agents of a machine do every so often: at whole seconds of the clock that they share, so that the
/// machine, the broker and the supervisor wake once for many. At most `every` from now, and less than a second less.
[[nodiscard]] inline SteadyTime next_together(SteadyTime now, std::chrono::milliseconds every) {
    const auto latest = (now + every).time_since_epoch();
    return SteadyTime(latest - latest % std::min<SteadyTime::duration>(every, std::chrono::seconds{1}));
}

class Periodic {
  public:
    struct Rule {
        std::chrono::milliseconds every{};
        std::optional<BackoffPolicy> after_failure{};  ///< sooner than `every`; none: a failure changes nothing
    };
    Periodic(Rule rule, SteadyTime first) : rule_(rule), due_(first) {}

    /// When to start it; nothing while it runs.
    [[nodiscard]] std::optional<SteadyTime> due() const { return running_ ? std::nullopt : std::optional(due_); }
    [[nodiscard]] bool start_due(SteadyTime now) const { return !running_ && now >= due_; }
    void started(SteadyTime now) {
        running_ = true;
        started_ = now;
    }
    void ended(bool ok, SteadyTime now) {
        running_ = false;
        failures_ = ok ? 0 : failures_ + 1;
        due_ = std::max(started_ + rule_.every, now + k_pause);
        if (!ok && rule_.after_failure) due_ = std::min(due_, now + backoff(*rule_.after_failure, failures_));
    }
    [[nodiscard]] unsigned failures() const { return failures_; }  ///< in a row

    static constexpr std::chrono::seconds k_pause{1};  ///< at least, between an end and the next start

  private:
    Rule rule_;
    SteadyTime due_;
    SteadyTime started_{};
    bool running_ = false;
    unsigned failures_ = 0;
};

}  // namespace sutfleet::agent
