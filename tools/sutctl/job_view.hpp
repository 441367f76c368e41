#pragma once
// A job as its record and its output tell it. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "screen.hpp"

namespace sutfleet::ctl {

struct JobView {
    std::string id, state, reason, command, submitted, started, finished;
    std::optional<int> exit;
    std::uint64_t position = 0;
    std::uint64_t log_bytes = 0;
    double seconds = 0;  ///< of all its phases

    [[nodiscard]] bool ended() const;
    /// What `submit --wait` exits with: the job's own code, or what its state stands for.
    [[nodiscard]] int exit_code() const;
    /// `SUCCEEDED, exit 0, 3.2 s`
    [[nodiscard]] std::string summary() const;
};

/// Nothing for what is not a record.
std::optional<JobView> parse_job(std::string_view json);
std::vector<std::vector<Cell>> job_table(const std::vector<JobView>& jobs);
/// `key: value` lines of a record, nested keys with dots.
std::string describe_job(std::string_view json);

/// One output stream put together from batches that may come twice, overlap, or leave a gap.
class OutputStream {
  public:
    struct Piece {
        std::string text;          ///< to print, ends with a newline; empty: nothing new
        std::uint64_t missed = 0;  ///< bytes that never came, before it
    };
    /// @param offset of the payload's first byte; nothing when the sender gave none
    Piece take(std::optional<std::uint64_t> offset, std::string_view payload);
    /// As `take`, of a sender that says what the payload stands for: `bytes` are all of it, newlines and all.
    Piece take_exact(std::uint64_t offset, std::string_view bytes);
    /// Behind the last byte that has come.
    [[nodiscard]] std::optional<std::uint64_t> end() const { return end_; }
    /// Whether everything up to `bytes` has come; a last newline is never sent.
    [[nodiscard]] bool complete(std::uint64_t bytes) const { return end_.value_or(0) + 1 >= bytes; }

  private:
    std::optional<std::uint64_t> end_;
    bool lone_newline_ = false;
};

}  // namespace sutfleet::ctl
