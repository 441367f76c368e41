#pragma once
// One job's course as a pure machine: its phases in order, its timeouts, cancel, and cleanup whatever happens.
// Events in, effects out; it reads no clock and starts nothing.
//
//   phase runs --exit 0--> next phase … --> cleanup --> finished
//       |----other exit, timeout, cancel: TERM, after `stop` KILL--> cleanup --> finished
//       |----cancel in a protected phase: when that has ended------> cleanup --> finished

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"
#include "job/submit_request.hpp"
#include "job_record.hpp"

namespace sutfleet::agent {

struct SpawnPhase {
    std::string phase;
    Command command;
    bool operator==(const SpawnPhase&) const = default;
};
struct SignalPhase {
    int signal;
    bool operator==(const SignalPhase&) const = default;
};
struct FinishJob {
    JobState state;
    std::string reason;
    std::optional<int> exit;
    bool needs_person = false;  ///< a phase ended with 46: maintenance
    bool operator==(const FinishJob&) const = default;
};
using JobEffect = std::variant<SpawnPhase, SignalPhase, FinishJob>;

inline constexpr int k_needs_person = 46;

/// Whether an attempt that ended like this is followed by another one.
[[nodiscard]] bool tries_again(const RetryRule& rule, const FinishJob& finish, unsigned attempt);
/// The record of the next attempt.
void queue_again(JobRecord& record, const RetryRule& rule, const FinishJob& finish, WallTime now);

class JobRun {
  public:
    /// `only_cleanup`: what is left to be done of a job that was lost. `named`: what the submit policy makes of the request; it
    /// is the test phase then, whatever the conf has for that.
    JobRun(const AgentRules& rules, const JobRequest& request, bool only_cleanup = false, const std::optional<Command>& named = {});

    [[nodiscard]] std::vector<JobEffect> start(SteadyTime now);
    /// The phase's process ended, or could not be started.
    [[nodiscard]] std::vector<JobEffect> exited(int code, SteadyTime now, bool out_of_memory = false);
    /// How it ends is settled; its cleanup, or what it does behind a signal, may still run.
    [[nodiscard]] bool ending() const { return end_ || phase_ == "cleanup"; }
    /// No effects: a protected phase ends by itself first, or it is ending already.
    [[nodiscard]] std::vector<JobEffect> cancel(std::string why, SteadyTime now);
    /// The agent stops: no cleanup now, it runs at the next start.
    [[nodiscard]] std::vector<JobEffect> abandon(SteadyTime now);
    [[nodiscard]] std::vector<JobEffect> tick(SteadyTime now);
    void output_seen(SteadyTime now) { last_output_ = now; }
    [[nodiscard]] SteadyTime due() const;

    [[nodiscard]] const std::string& phase() const { return phase_; }
    [[nodiscard]] double phase_seconds(SteadyTime now) const;

  private:
    struct End {
        JobState state = JobState::succeeded;
        std::string reason;
        std::optional<int> exit;
    };
    [[nodiscard]] std::vector<JobEffect> next(SteadyTime now);
    [[nodiscard]] std::vector<JobEffect> interrupt(End end, SteadyTime now);
    void settle(End end);

    std::vector<SpawnPhase> steps_;
    std::size_t at_ = 0;
    std::vector<std::string> protected_;
    std::chrono::milliseconds job_limit_, output_limit_, stop_limit_;
    std::string phase_;
    SteadyTime started_{}, phase_started_{}, last_output_{};
    std::optional<SteadyTime> kill_at_;
    std::optional<End> end_;  ///< once settled, only cleanup is left
    bool needs_person_ = false;
    bool interrupted_ = false;
};

}  // namespace sutfleet::agent
