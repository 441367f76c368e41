#pragma once
// The services of an agent as a pure machine: each has a life of its own (lifecycle.hpp), and a change of the conf
// touches only those that it names. It starts and stops nothing; what it says is done outside.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/heartbeat.hpp"
#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"
#include "lifecycle.hpp"

namespace sutfleet::agent {

class ServiceSet {
  public:
    /// Those of a conf, at the start or after a change. `all_anew`: what all of them run by has changed, their environment.
    /// @return those that run and have to be stopped; one that goes on in another form is started when it has ended
    std::vector<std::string> set(const std::vector<Service>& services, bool all_anew, SteadyTime now);
    /// Nothing is started any more. @return those that run
    std::vector<std::string> stop();

    /// Those to start now.
    [[nodiscard]] std::vector<Service> start_due(SteadyTime now) const;
    [[nodiscard]] std::optional<SteadyTime> due() const;
    void started(const std::string& name, SteadyTime now);
    void ended(const std::string& name, int code, SteadyTime now);
    /// Those that wait for their next start after a failure need not wait: what they missed may be there now.
    void hurry(SteadyTime now);

    /// Degraded at worst: one service is no reason to end the others.
    [[nodiscard]] HealthVerdict verdict(SteadyTime now) const;

  private:
    struct Entry {
        Service service;
        Lifecycle life;
        bool running = false;
        bool leaving = false;            ///< it ends because it was told to
        std::optional<Service> next{};   ///< what it will be after that
    };
    static Entry fresh(const Service& service, SteadyTime now);
    std::map<std::string, Entry> entries_;
    bool stopped_ = false;
};

}  // namespace sutfleet::agent
