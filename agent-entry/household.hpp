#pragma once
// What the agent keeps going beside its command and its jobs: init steps, services, renewals and probes. It owns their
// processes and does what their machines (init_steps, service_set, periodic) say; each is on its own, and none can stop
// another. Main thread only; nothing in it waits.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conf/agent_conf.hpp"
#include "init_steps.hpp"
#include "periodic.hpp"
#include "pump.hpp"
#include "service_set.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {

class Household {
  public:
    struct Process {
        pid_t pid = -1;
        SourceId source = 0;  ///< of its output in the pump; 0: none
    };
    /// What it needs of the agent.
    struct Hands {
        /// Starts a process whose output goes to the agent's log, each line with the label.
        std::function<Result<Process>(const Command&, const std::string& label, const std::map<std::string, std::string>& env)> start;
        /// Starts http-probe with these arguments and this stdout.
        std::function<Result<Process>(std::vector<std::string> arguments, int out)> start_probe;
        std::function<void(SourceId)> finish;  ///< the process of this source has ended
        /// Shows a text on a level under the SUT, until the next one; an empty text removes the level.
        std::function<void(const std::string& level, const std::string& text)> show;
    };
    /// `folder`: of the state, for the marks of steps that are done.
    Household(const AgentConf& conf, std::string folder, Hands hands, SteadyTime now);

    /// The conf was reloaded: what is as it was goes on.
    void set_conf(const AgentConf& conf, SteadyTime now);
    /// Children that were reaped, and sources that are drained.
    void settle(const std::map<pid_t, int>& ended, const std::vector<SourceId>& drained, SteadyTime now);
    /// Starts and ends what is due. While a job runs no init step is started.
    void tick(bool job_runs, SteadyTime now);
    [[nodiscard]] std::optional<SteadyTime> due(bool job_runs) const;
    /// TERM to all of it; KILL after its time. Nothing is started any more.
    void stop(SteadyTime now);
    [[nodiscard]] bool empty() const { return children_.empty(); }

    /// All init steps are done: the command and jobs may start.
    [[nodiscard]] bool ready() const { return init_.all_done(); }
    /// Does an init step, or all of them, again. @return what will be done, for a person
    Result<std::string> reinit(const std::string& step);
    [[nodiscard]] HealthVerdict verdict(SteadyTime now) const;

  private:
    enum class Kind { init, service, renewal, probe };
    struct Child {
        Kind kind;
        std::string name;
        Process process;
        sys::UniqueFd result{};                 ///< of a probe
        std::optional<int> code{};              ///< set when it has ended
        std::optional<SteadyTime> limit_at{};   ///< it has taken too long
        std::optional<SteadyTime> kill_at{};    ///< it was told to end
        bool overdue = false;
        bool told = false;      ///< to end
        bool disowned = false;  ///< its end means nothing any more
    };
    struct RenewalState {
        Renewal rule;
        Periodic when;
        std::string trouble{};  ///< empty: its last run went well
    };
    struct ProbeState {
        Probe rule;
        Periodic when;
        SteadyTime started{};
    };

    [[nodiscard]] std::string mark_path(const std::string& step) const;
    [[nodiscard]] std::vector<InitSteps::Known> known_steps() const;
    void mark(const InitStep& step, SteadyTime now);
    void set_renewals(bool all_anew, SteadyTime now);
    void set_probes(bool all_anew, SteadyTime now);
    void keep_levels();

    [[nodiscard]] bool busy(Kind kind, const std::string& name) const;
    static std::string marker_of(const Child& child);
    void tell_to_end(Child& child, SteadyTime now);
    void disown(Kind kind, const std::string& name, SteadyTime now);
    void enforce_times(SteadyTime now);
    /// @return the code of a process that could not be started
    std::optional<int> start(Kind kind, const std::string& name, const Command& command, std::optional<std::chrono::milliseconds> limit,
                             SteadyTime now);
    void start_init(SteadyTime now);
    void start_services(SteadyTime now);
    void start_renewals(SteadyTime now);
    void start_probes(SteadyTime now);
    void conclude(Child& child, SteadyTime now);
    void init_ended(const std::string& name, int code, SteadyTime now);
    void renewal_ended(const std::string& name, int code, bool overdue, SteadyTime now);
    void probe_ended(const Child& child, SteadyTime now);

    const std::string folder_;
    const std::string build_;  ///< of our programs, when this life began
    const Hands hands_;
    HouseholdRules rules_;
    Timeouts timeouts_;
    std::map<std::string, std::string> env_;
    InitSteps init_;
    std::vector<InitStep> unmarked_;  ///< done, but their marks could not be written
    std::string mark_trouble_;
    SteadyTime mark_again_{};
    ServiceSet services_;
    std::map<std::string, RenewalState> renewals_;
    std::map<std::string, ProbeState> probes_;
    std::vector<Child> children_;
    std::set<std::string> levels_;  ///< that were ever shown, also by an earlier life
    bool started_ = false;  ///< the conf of this life's begin is known
    bool stopping_ = false;
};

inline constexpr BackoffPolicy k_renew_backoff{std::chrono::seconds{5}, std::chrono::minutes{10}};

}  // namespace sutfleet::agent
