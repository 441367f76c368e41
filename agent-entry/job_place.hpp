#pragma once
// The folder of one job, as its commands find it: artifacts/, output.log, job.json, the same as testflinger.json, and in
// `command` the text of the job. Threads: any, but one at a time for a folder.

#include <string>

#include "core/result.hpp"
#include "job/submit_request.hpp"

namespace sutfleet::agent {

/// All but what depends on the job: new inodes are what costs most of a job's start. What is there stays.
Result<void> prepare_job_place(const std::string& folder);
/// Writes what depends on the job into a folder that was prepared.
Result<void> fill_job_place(const std::string& folder, const JobId& id, const JobRequest& request);

}  // namespace sutfleet::agent
