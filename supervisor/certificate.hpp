#pragma once
// When the broker's certificate ends, and what that means for the fleet. Reads files, keeps nothing. Main thread.

#include <optional>
#include <string>

#include "core/result.hpp"
#include "core/timestamp.hpp"
#include "settings.hpp"

namespace sutfleet {

inline constexpr std::chrono::hours k_certificate_warning{14 * 24};

/// The last moment of the first certificate in a PEM text. @return invalid_input for anything else
Result<WallTime> certificate_end(const std::string& pem);

/// The earlier end of `server.pem` and `ca.pem` in the folder. @return not_found when there is no server.pem
Result<WallTime> certificates_end(const std::string& folder);

/// What agents are to check the broker by: the text of its file, which begins with a certificate; empty where they come without TLS.
Result<std::string> read_authority(const Settings& settings);

/// `until <date>`, or `degraded: …` with the date and what to do when it is near or over.
[[nodiscard]] std::string certificate_word(const Result<WallTime>& end, WallTime now);

}  // namespace sutfleet
