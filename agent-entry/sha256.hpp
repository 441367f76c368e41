#pragma once
// The SHA-256 (FIPS 180-4) of a file. Threads: any.

#include <functional>
#include <string>

namespace sutfleet::agent {

/// In lower-case hexadecimal digits; empty when the file cannot be read whole, or `enough` said so meanwhile. A link is not
/// followed.
[[nodiscard]] std::string sha256_of_file(const std::string& path, const std::function<bool()>& enough);

}  // namespace sutfleet::agent
