#pragma once
// Opens what lies beneath a folder, one name at a time: no link is followed, so that no path leaves it. Threads: any.

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

/// A file or folder by its path from `folder`, for reading; it never waits (a FIFO). @return not_found when it is not there,
/// invalid_input for a link, and for a path that is absolute or has "..".
Result<UniqueFd> open_beneath(const std::string& folder, std::string_view path);

}  // namespace sutfleet::sys
