#pragma once
// What is published of the queues, as JSON. Pure.

#include <map>
#include <string>
#include <vector>

#include "pool/pool_job.hpp"
#include "pool/pool_plan.hpp"

namespace sutfleet {

inline constexpr std::size_t k_jobs_in_status = 20;

/// `fleet/queue/<queue>/status`
/// @param jobs of this queue that have not ended, in order; `suts`: those that serve it; `said`: the last answer to a submit
[[nodiscard]] std::string encode_queue_status(const std::string& queue, const std::vector<PoolJob>& jobs,
                                              const std::map<SutName, PoolSut>& suts, const std::string& said, WallTime now);

/// `fleet/queue/<queue>/job/<id>`
/// @param state the SUT's own word, once it has the job; empty: none yet
/// @param why it waits, or for whom
[[nodiscard]] std::string encode_queue_job(const PoolJob& job, std::size_t position, const std::string& state, const std::string& why);

/// Why none of them takes a job, in one line.
[[nodiscard]] std::string why_none(const std::map<SutName, PoolSut>& suts);

}  // namespace sutfleet
