#pragma once
// Ids for jobs that came without one. Threads: one at a time.

#include "core/ids.hpp"
#include "core/timestamp.hpp"

namespace sutfleet {

/// Sorts by time; random bits tell apart what comes in the same millisecond.
[[nodiscard]] JobId make_job_id(WallTime now);

}  // namespace sutfleet
