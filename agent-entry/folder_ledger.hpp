#pragma once
// Which folders of ended jobs there are, and which have to go by the conf's limits. Pure; a change and a question cost no
// more with many of them, up to a logarithm.

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"
#include "job_record.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_folders_kept = 20;  ///< of the newest, whatever their age: a clock may jump

struct JobFolder {
    JobId id;
    WallTime ended{};
    std::uint64_t bytes = 0;  ///< on disk
    bool operator==(const JobFolder&) const = default;
};

class FolderLedger {
  public:
    /// Replaces what is known of the same job.
    void put(const JobFolder& folder);
    void erase(const JobId& id);
    [[nodiscard]] bool contains(const JobId& id) const { return folders_.contains(id); }
    /// Which have to go, the oldest first.
    [[nodiscard]] std::vector<JobFolder> due(const JobRules& rules, WallTime now) const;

  private:
    std::map<JobId, JobFolder> folders_;
    std::set<std::pair<WallTime, JobId>> by_age_;
    std::uint64_t bytes_ = 0;
};

}  // namespace sutfleet::agent
