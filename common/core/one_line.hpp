#pragma once
// Any bytes as one line that a person can read: for reasons that quote output. Pure.

#include <string>
#include <string_view>

namespace sutfleet {

/// Whether all of it is UTF-8 (RFC 3629).
[[nodiscard]] bool is_utf8(std::string_view text);
/// Each byte that is no part of UTF-8 as '?'.
[[nodiscard]] std::string as_utf8(std::string_view bytes);
/// As UTF-8, control characters as blanks, at most `limit` bytes; what was cut is shown as "…".
[[nodiscard]] std::string one_line(std::string_view bytes, std::size_t limit);

}  // namespace sutfleet
