#pragma once
// What a job is to leave behind: the files under its folder's artifacts/. The folder is the job's to fill, so nothing in it is
// believed: no link is followed, and what is looked at is limited. Threads: any.

#include <functional>
#include <string>
#include <vector>

#include "job_record.hpp"

namespace sutfleet::agent {

/// The regular files under artifacts/ of a job's folder, sorted. What is not hashed when `enough` says so stays without a hash.
[[nodiscard]] Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough);
/// Whether there is anything; cheap.
[[nodiscard]] bool has_artifacts(const std::string& folder);

/// Links the regular files of a job's folder that a pattern matches into its artifacts/.
void collect_artifacts(const std::string& folder, const std::vector<std::string>& patterns);

}  // namespace sutfleet::agent
