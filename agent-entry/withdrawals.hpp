#pragma once
// What the supervisor has left in the state volume while the SUT had no container: jobs of queues that are not this SUT's
// any more. Read when the journal is, before any job can start. Main thread.

#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"

namespace sutfleet::agent {

struct Withdrawal {
    JobId id;
    std::optional<unsigned> number;  ///< no grant of this number or a lower one counts any more; it cannot be read: no grant
    std::string path;     ///< of its file, which is removed once the journal has it
};

[[nodiscard]] std::vector<Withdrawal> read_withdrawals(const std::string& state_folder);

}  // namespace sutfleet::agent
