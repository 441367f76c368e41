#pragma once
// What an engine's refusal means: when to try again, and how it is said to a person. Pure.

#include <string>

#include "core/backoff.hpp"
#include "core/result.hpp"

namespace sutfleet {

/// What may go away by itself (the engine is busy or gone, something is missing or in the way) is tried soon again; what
/// needs another conf seldom. A changed conf is tried at once in any case.
[[nodiscard]] BackoffPolicy retry_policy(const Error& error);

/// The engine's words with what they mean in front: `mount source missing: …`; as they are when that is not known.
[[nodiscard]] std::string plainly(const Error& error);

}  // namespace sutfleet
