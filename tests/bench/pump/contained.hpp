#pragma once
// A container of the base image with the `local` log driver and the supervisor's options for it; removed at the end. The
// programs come into it with their own loader and libraries. Throws when the engine does not do what it is asked.

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/sut_conf.hpp"
#include "private_broker.hpp"

namespace sutfleet::bench {

class Contained {
  public:
    /// A folder that the container has under the same path, and a name for it.
    Contained();
    ~Contained();
    Contained(const Contained&) = delete;
    Contained& operator=(const Contained&) = delete;

    void run(const std::vector<std::string>& argv);
    /// `bundle`: agent-entry with its loader and libraries.
    void run_agent(const std::string& bundle, const std::string& broker_url, const std::string& sut, const AgentRules& rules);
    /// Lets the generator in it begin. @return the seconds that it took
    double generate() const;
    [[nodiscard]] pid_t pid() const;  ///< of its first process
    [[nodiscard]] pid_t shim() const;
    [[nodiscard]] const std::string& folder() const { return folder_.path(); }

  private:
    test::TempFolder folder_;
    const std::string name_;
    std::vector<std::string> mounts_;
};

}  // namespace sutfleet::bench
