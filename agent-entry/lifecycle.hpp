#pragma once
// The subprocess's life as a pure machine: when to start it, when to start it again, when to call it a crash
// loop. It reads no clock and starts nothing; the agent performs what it says.
//
//   waiting --tick at due--> running --exit, policy says again--> waiting (backoff)
//                               |-----exit, policy accepts------> ended
//   any --stop--> stopped

#include <deque>
#include <optional>
#include <string>

#include "core/backoff.hpp"
#include "core/heartbeat.hpp"
#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"

namespace sutfleet::agent {

/// Whose life it is.
struct LifeSubject {
    std::string name = "command";
    bool any_end_fails = false;  ///< it is to run for ever: an end with 0 is a failure, too
};

class Lifecycle {
  public:
    enum class State { absent, waiting, running, ended, stopped };

    /// `has_command` false: there is nothing to run, and that is healthy.
    Lifecycle(bool has_command, RestartPolicy policy, SteadyTime now, LifeSubject subject = {});

    [[nodiscard]] State state() const { return state_; }
    /// When to call `start_due` again; nothing while nothing is to be started.
    [[nodiscard]] std::optional<SteadyTime> due() const;
    [[nodiscard]] bool start_due(SteadyTime now) const;

    void started(SteadyTime now);
    /// The subprocess ended, or could not be started (127, 126).
    void exited(int code, SteadyTime now);
    /// Start at once, whatever the backoff (cmd/restart).
    void restart(SteadyTime now);
    void stop() { state_ = State::stopped; }

    /// What it means for the agent's health.
    [[nodiscard]] HealthVerdict verdict(SteadyTime now) const;

  private:
    [[nodiscard]] bool again(int code) const;
    void forget_old_failures(SteadyTime now);

    LifeSubject subject_;
    RestartPolicy policy_;
    State state_ = State::absent;
    SteadyTime due_{};
    SteadyTime started_{};
    unsigned failures_in_a_row_ = 0;
    std::deque<SteadyTime> failures_;
    int last_code_ = 0;
};

inline constexpr BackoffPolicy k_restart_backoff{std::chrono::seconds{1}, std::chrono::minutes{5}};
inline constexpr std::chrono::seconds k_healthy_life{60};  ///< a longer life resets the backoff
inline constexpr std::chrono::minutes k_crash_window{10};
inline constexpr std::size_t k_crash_count = 5;

}  // namespace sutfleet::agent
