#pragma once
// Prints `<sut>/output` as it comes: each stream's bytes once and in order, and says so when some
// never came.

#include <map>
#include <string>

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
    /// Whether the job's output has come up to `bytes`.
    [[nodiscard]] bool complete(std::uint64_t bytes) const;

  private:
    const Screen& screen_;
    bool json_;
    std::string job_;
    std::map<std::string, OutputStream> streams_;
};

/// The last `lines` lines of a text that ends with a newline.
std::string_view last_lines(std::string_view text, std::size_t lines);

}  // namespace sutfleet::ctl
