#pragma once
// Jobs that the supervisor hands over from a queue for several SUTs: `cmd/offer`, `cmd/grant`, `cmd/withdraw`. Main thread.

#include <string>
#include <string_view>

#include "job_book.hpp"

namespace sutfleet::agent {

[[nodiscard]] bool is_handover(std::string_view verb);

/// @param payload JSON: `id`, `number`; of an offer, `queue`, `job`, the payload that a submit would have, and `by`, who it says that it
/// comes from; of a grant, whether `cancel`
/// @param may_start whether a job that is granted now would start at once
/// @return this SUT's word, as JSON; an error is no word
Result<std::string> hand_over(JobBook& book, std::string_view verb, const std::string& payload, bool may_start, WallTime now);

}  // namespace sutfleet::agent
