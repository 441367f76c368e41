#pragma once
// Prints `<sut>/output` as it comes: each stream's bytes once and in order, and says so when some
// never came.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "job_view.hpp"
#include "mqtt/session.hpp"
#include "screen.hpp"

namespace sutfleet::ctl {

class OutputPrinter {
  public:
    /// @param job print only the output of this one; empty: all
    OutputPrinter(const Screen& screen, bool json, std::string job)
        : screen_(screen), json_(json), job_(std::move(job)) {}

    [[nodiscard]] bool is_of_job(const mqtt::Message& message) const;
    /// @param tail at most so many of its last lines
    void print(const mqtt::Message& message, std::optional<std::size_t> tail = {});
    /// Bytes of a log's file, from `offset` on. `job` empty: of the agent's own log.
    void print(const std::string& job, const std::string& boot, std::uint64_t offset, std::string_view bytes);
    /// Behind what has come of a log.
    [[nodiscard]] std::optional<std::uint64_t> end(const std::string& job, const std::string& boot) const;
    /// Whether bytes between what was printed of its stream and this message have not come.
    [[nodiscard]] bool misses_some_before(const mqtt::Message& message) const;
    /// How many lines `print` would show of them, with this `tail` for each.
    [[nodiscard]] static std::size_t lines_of(const std::vector<mqtt::Message>& messages, std::size_t tail);
    /// Whether the job's output has come up to `bytes`.
    [[nodiscard]] bool complete(std::uint64_t bytes) const;

  private:
    void show(const std::string& job, const std::string& stream, std::uint64_t offset, const OutputStream::Piece& piece,
              std::optional<std::size_t> tail);

    const Screen& screen_;
    bool json_;
    std::string job_;
    std::map<std::string, OutputStream> streams_;
    std::string open_line_;  ///< the stream whose last line has no newline yet
};

/// A user property of a message; empty when it has none of that name.
std::string property(const mqtt::Message& message, std::string_view name);
/// The last `lines` lines of a text that ends with a newline.
std::string_view last_lines(std::string_view text, std::size_t lines);

}  // namespace sutfleet::ctl
