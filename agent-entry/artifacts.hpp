#pragma once
// What a job is to leave behind: the files under its folder's artifacts/. Threads: any.

#include <functional>
#include <string>
#include <vector>

#include "job_record.hpp"

namespace sutfleet::agent {

/// The regular files under `folder`, sorted; links are not followed. What is not hashed when `enough` says so stays
/// without a hash.
[[nodiscard]] Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough);

/// Links the regular files of `folder` that a pattern matches into its artifacts/. What leaves the folder is left out.
void collect_artifacts(const std::string& folder, const std::vector<std::string>& patterns);

}  // namespace sutfleet::agent
