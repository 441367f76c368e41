#pragma once
// What the agent's container uses, as its control group counts it (v1 or v2), as bare numbers for `<sut>/metrics/<name>`.
// What the kernel does not tell is left out. One thread.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/timestamp.hpp"

namespace sutfleet::agent {

class Usage {
  public:
    /// @param root of the control groups, /sys/fs/cgroup
    explicit Usage(std::string root) : root_(std::move(root)) {}
    /// `cpu`: cores, on average since the last time (so not the first time), and `memory`: MiB without the file cache that can go.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> look(SteadyTime now);

  private:
    [[nodiscard]] std::optional<double> cpu_seconds() const;
    [[nodiscard]] std::optional<double> memory_mib() const;

    const std::string root_;
    std::optional<double> last_cpu_;
    SteadyTime last_at_{};
};

}  // namespace sutfleet::agent
