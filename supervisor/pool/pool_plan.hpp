#pragma once
// Which waiting job is offered to which SUT. Pure.

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "pool/pool_job.hpp"

namespace sutfleet {

/// A SUT as the queues see it.
struct PoolSut {
    std::set<std::string> queues;  ///< that it serves
    std::string why{};             ///< it takes no job now; empty: it is idle and healthy
    std::uint64_t last_used = 0;   ///< grows with each job that it was offered
    std::set<JobId> forbidden{};   ///< jobs that it never lets run, by its submit policy most often
};

struct PoolOffer {
    JobId id;
    SutName sut;
    bool operator==(const PoolOffer&) const = default;
};

/// Each waiting job, in its order, goes to the SUT that serves its queue and was used the longest ago. A SUT has one
/// job at a time.
[[nodiscard]] std::vector<PoolOffer> plan_offers(const std::vector<PoolJob>& open_jobs, const std::map<SutName, PoolSut>& suts);

}  // namespace sutfleet
