#pragma once
// `cmd/tail`: what is asked for, and a piece of a log as its answer. Logs are named by ids alone, never by paths, and an
// answer is bounded, so that it costs the main thread no more than a batch of output does. Edges: reads files.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "log_file.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_tail_bytes = 16 * 1024;  ///< of an answer to a request that does not say how many
inline constexpr std::size_t k_tail_limit = 64 * 1024;
inline constexpr std::size_t k_tails_in_flight = 8;  ///< answers that the broker has not acknowledged

struct TailRequest {
    std::optional<JobId> job;             ///< none: the agent's own log
    std::optional<std::uint64_t> offset;  ///< none: the last bytes
    std::size_t bytes = k_tail_bytes;
    bool exact = false;  ///< base64 instead of text
    bool operator==(const TailRequest&) const = default;
};

/// The payload of the command: `[agent|<job>] [<offset>|-<last bytes>] [<bytes>]` or a JSON object with the keys `log` (or
/// `job`), `offset` or `last`, `bytes`, `encoding` (`text`, `base64`); `argument` may hold either of them. Pure.
[[nodiscard]] Result<TailRequest> decode_tail(std::string_view payload);

struct TailPiece {
    std::string bytes;
    std::uint64_t offset = 0;
    std::uint64_t end = 0;  ///< of the log, now
};

[[nodiscard]] TailPiece tail_of(const LogFile& log, const TailRequest& request);
/// Of a job that does not run: `<jobs>/<id>/output.log`. No link is followed.
[[nodiscard]] Result<TailPiece> tail_of_file(const std::string& jobs, const JobId& job, const TailRequest& request);

/// JSON: `log boot offset bytes end` and `text` (what is not UTF-8 is replaced) or `base64`. Pure.
[[nodiscard]] std::string encode_tail(TailPiece piece, const TailRequest& request, std::string_view boot);

}  // namespace sutfleet::agent
