#pragma once
// Tells two texts apart, as an id's second submit from its first; protects against nothing. Pure.

#include <string>
#include <string_view>

namespace sutfleet {

/// FNV-1a, 64 bits, as hex.
[[nodiscard]] std::string content_digest(std::string_view text);

}  // namespace sutfleet
