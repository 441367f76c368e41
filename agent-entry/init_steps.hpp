#pragma once
// The steps that are done once per build of the agent, as a pure machine: one at a time, in order; one that failed is
// tried again, and all after it wait. Which steps an earlier life has done is told from outside, by their marks.
//
//   pending --start--> running --0--> done
//      ^                  |--else--> failed --backoff, or reinit--> running
//      |----reinit-----------------------| (of done ones too)

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/backoff.hpp"
#include "core/heartbeat.hpp"
#include "core/result.hpp"
#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"

namespace sutfleet::agent {

/// What is kept of a step that was done: it stands for this build and this command, and for no other.
[[nodiscard]] std::string init_mark(std::string_view build, const InitStep& step);

class InitSteps {
  public:
    struct Known {
        InitStep step;
        bool done = false;  ///< its mark is there
    };
    /// The steps of a conf, at the start or after a change. One that is as it was keeps its state, also while it runs.
    /// @return true when the step that runs is not among them any more: it has to be stopped, and its end is nothing.
    bool set(const std::vector<Known>& steps);

    [[nodiscard]] bool all_done() const { return next() == nullptr; }
    /// The step to start now; nothing while one runs, none is left or the next one's time has not come.
    [[nodiscard]] std::optional<InitStep> start_due(SteadyTime now) const;
    [[nodiscard]] std::optional<SteadyTime> due() const;
    void started();
    /// The step that runs has ended. @return it, when that was its success: it is to be marked.
    std::optional<InitStep> ended(int code, SteadyTime now);

    /// Does a step, or all without a name, again. @return their names; not_found names those that there are, conflict
    /// while one of them runs
    Result<std::vector<std::string>> again(std::string_view name);

    /// Unhealthy after a failure, until that step is done; degraded while steps are still to be done.
    [[nodiscard]] HealthVerdict verdict() const;

  private:
    struct Entry {
        InitStep step;
        bool done = false;
        int code = 0;           ///< of the last failure
        unsigned failures = 0;  ///< in a row
        SteadyTime due{};
    };
    [[nodiscard]] const Entry* next() const;
    [[nodiscard]] Entry* next() { return const_cast<Entry*>(std::as_const(*this).next()); }

    std::vector<Entry> entries_;
    bool running_ = false;  ///< the first that is not done
};

inline constexpr BackoffPolicy k_init_backoff{std::chrono::seconds{5}, std::chrono::minutes{5}};

}  // namespace sutfleet::agent
