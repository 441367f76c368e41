#include "job_run.hpp"

#include <algorithm>
#include <array>
#include <csignal>

#include "core/duration.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::array<std::string_view, 7> k_order{"setup",    "provision", "firmware_update", "test",
                                                  "allocate", "reserve",   "cleanup"};

/// `setup` and `cleanup` run whenever the conf has them, any other phase only when the job has data for it.
bool wanted(std::string_view phase, const JobRequest& request) {
    if (phase == "setup" || phase == "cleanup") return true;
    if (request.skipped.contains(std::string(phase))) return false;
    if (phase == "test") return !request.command.empty() || request.phases.contains("test");
    return request.phases.contains(std::string(phase));
}

std::vector<SpawnPhase> steps_of(const AgentRules& rules, const JobRequest& request, bool only_cleanup, const std::optional<Command>& named) {
    std::vector<SpawnPhase> steps;
    for (const auto phase : k_order) {
        if (only_cleanup && phase != "cleanup") continue;
        if (!wanted(phase, request)) continue;
        if (phase == "test" && named)
            steps.push_back({"test", *named});
        else if (const auto has = rules.phases.find(std::string(phase)); has != rules.phases.end())
            steps.push_back({std::string(phase), has->second});
        else if (phase == "test")
            steps.push_back({"test", Command{{"/bin/sh", "-c", request.command}}});
    }
    return steps;
}

/// A shell or a make that outlives what the kernel killed ends with a code of its own.
std::string end_text(int code, bool out_of_memory) {
    if (out_of_memory && code == 128 + SIGKILL) return ": out of memory";
    return " ended with " + std::to_string(code) + (out_of_memory ? "; out of memory: the kernel killed a process meanwhile" : "");
}

}  // namespace

bool tries_again(const RetryRule& rule, const FinishJob& finish, unsigned attempt) {
    if (attempt > rule.max || finish.needs_person) return false;
    const bool any = rule.on.empty() && !rule.on_timeout && !rule.on_lost;
    switch (finish.state) {
        case JobState::failed: return any || (finish.exit && rule.on.contains(*finish.exit));
        case JobState::timed_out: return any || rule.on_timeout;
        case JobState::lost: return any || rule.on_lost;
        default: return false;
    }
}

void queue_again(JobRecord& record, const RetryRule& rule, const FinishJob& finish, WallTime now) {
    record.reason = "attempt " + std::to_string(record.attempt) + ": " + finish.reason;
    record.state = JobState::queued;
    ++record.attempt;
    record.phase.clear();
    record.phases.clear();
    record.exit.reset();
    record.started.clear();
    record.expires.clear();  // that was for its first attempt
    record.not_before = format_rfc3339(now + rule.delay);
}

JobRun::JobRun(const AgentRules& rules, const JobRequest& request, bool only_cleanup, const std::optional<Command>& named)
    : steps_(steps_of(rules, request, only_cleanup, named)),
      protected_(rules.jobs.protected_phases),
      job_limit_(std::min(request.timeout.value_or(rules.timeouts.job), rules.timeouts.job)),
      output_limit_(std::min(request.output_timeout.value_or(rules.timeouts.output), rules.timeouts.output)),
      stop_limit_(rules.timeouts.stop) {}

std::vector<JobEffect> JobRun::start(SteadyTime now) {
    started_ = now;
    return next(now);
}

std::vector<JobEffect> JobRun::next(SteadyTime now) {
    kill_at_.reset();
    while (at_ < steps_.size() && end_ && steps_[at_].phase != "cleanup") ++at_;
    if (at_ == steps_.size()) {
        const auto end = end_.value_or(End{JobState::succeeded, {}, 0});
        phase_.clear();
        return {FinishJob{end.state, end.reason, end.exit, needs_person_}};
    }
    phase_ = steps_[at_].phase;
    phase_started_ = last_output_ = now;
    return {steps_[at_++]};
}

void JobRun::settle(End end) {
    if (!end_) end_ = std::move(end);
}

std::vector<JobEffect> JobRun::exited(int code, SteadyTime now, bool out_of_memory) {
    if (code == k_needs_person) needs_person_ = true;
    if (!interrupted_ && code != 0) settle({JobState::failed, phase_ + end_text(code, out_of_memory), code});
    interrupted_ = false;
    return next(now);
}

std::vector<JobEffect> JobRun::interrupt(End end, SteadyTime now) {
    if (interrupted_) return {};
    settle(std::move(end));
    interrupted_ = true;
    kill_at_ = now + stop_limit_;
    return {SignalPhase{SIGTERM}};
}

std::vector<JobEffect> JobRun::cancel(std::string why, SteadyTime now) {
    if (ending()) return {};
    End end{JobState::canceled, std::move(why), {}};
    if (std::ranges::find(protected_, phase_) == protected_.end()) return interrupt(std::move(end), now);
    settle(std::move(end));
    return {};
}

std::vector<JobEffect> JobRun::abandon(SteadyTime now) {
    steps_.resize(std::min(at_, steps_.size()));
    end_ = End{JobState::lost, "the agent was stopped while the job ran (" + phase_ + ")", {}};
    interrupted_ = false;
    return interrupt(*end_, now);
}

std::vector<JobEffect> JobRun::tick(SteadyTime now) {
    if (kill_at_ && now >= *kill_at_) {
        kill_at_.reset();
        return {SignalPhase{SIGKILL}};
    }
    if (interrupted_ || phase_.empty()) return {};
    // Cleanup has the job's whole time again, so that a job that timed out is still cleaned up after.
    const auto since = phase_ == "cleanup" ? phase_started_ : started_;
    if (now - since >= job_limit_)
        return interrupt({JobState::timed_out, phase_ + ": longer than " + format_duration(job_limit_), {}}, now);
    if (phase_ == "test" && now - last_output_ >= output_limit_)
        return interrupt({JobState::timed_out, "test: no output for " + format_duration(output_limit_), {}}, now);
    return {};
}

SteadyTime JobRun::due() const {
    if (kill_at_) return *kill_at_;
    if (interrupted_ || phase_.empty()) return SteadyTime::max();
    const auto by_job = (phase_ == "cleanup" ? phase_started_ : started_) + job_limit_;
    return phase_ == "test" ? std::min(by_job, last_output_ + output_limit_) : by_job;
}

double JobRun::phase_seconds(SteadyTime now) const {
    return std::chrono::duration<double>(now - phase_started_).count();
}

}  // namespace sutfleet::agent
