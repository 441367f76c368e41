#pragma once
// The SHA-256 (FIPS 180-4) of an open file. Threads: any.

#include <functional>
#include <string>

namespace sutfleet::agent {

/// Of what is left to read, in lower-case hexadecimal digits; empty when that cannot be read whole, or `enough` said so meanwhile.
[[nodiscard]] std::string sha256_of(int fd, const std::function<bool()>& enough);

}  // namespace sutfleet::agent
