#pragma once
// An agent-entry of the SUT alpha, as a child of the test, in folders of its own.

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/sut_conf.hpp"
#include "private_broker.hpp"

namespace sutfleet::test {

class PrivateAgent {
  public:
    /// Throws when it cannot be started. `program`: the path of agent-entry. `out`: its stdout; -1: a file, for out().
    PrivateAgent(const std::string& program, const std::string& broker_url, const AgentRules& rules = {}, const std::string& crash_at = {},
                 int out = -1);
    /// TERM, and waits for its end.
    ~PrivateAgent();
    PrivateAgent(const PrivateAgent&) = delete;
    PrivateAgent& operator=(const PrivateAgent&) = delete;

    [[nodiscard]] pid_t pid() const { return pid_; }
    void signal(int number) const;
    /// Ends it by `signal`, and waits for that.
    void stop(int signal);
    /// Ends it by `signal`, and starts it again.
    void restart(int signal);
    /// Starts it in the same folders, after its end. `crash_at`: where it dies (sys/crash_point.hpp).
    void start(const std::string& crash_at = {});
    /// Its exit code, once it has ended.
    std::optional<int> ended();
    /// A new conf, as the supervisor delivers it; the agent reloads it within about a second. `build`: of our programs.
    void deliver(const AgentRules& rules, const std::string& build = "b");
    /// Where the broker is in what is delivered from now on, and by which authority (PEM) it is checked.
    void set_broker(const std::string& url, const std::string& authority);
    [[nodiscard]] std::string log() const;  ///< agent.log: the subprocess's output
    [[nodiscard]] std::string out() const;  ///< its own stdout
    [[nodiscard]] std::string err() const;  ///< and stderr
    [[nodiscard]] std::string heartbeat() const;
    /// With `secrets/` in it, which the test may make.
    [[nodiscard]] const std::string& folder() const { return folder_.path(); }

  private:
    const std::string program_;
    std::string broker_url_, authority_;
    const int out_;
    int generation_ = 0;
    TempFolder folder_;
    pid_t pid_ = -1;
    std::optional<int> code_;
};

/// Rules with a subprocess that /bin/sh runs.
AgentRules shell_rules(const std::string& script, RestartPolicy restart = RestartPolicy::on_failure);

}  // namespace sutfleet::test
