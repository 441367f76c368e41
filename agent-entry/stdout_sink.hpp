#pragma once
// The container's stdout. All that is passed is written; a slow reader is waited for. One that takes nothing for k_patience is
// not: the children run on, and stdout goes on from the log files, which hold what it still has to get, when it is read again.
// What is rotated away until then is counted. The pump's thread, but for stuck().

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>

#include "core/timestamp.hpp"
#include "log_file.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {

class StdoutSink {
  public:
    static constexpr std::chrono::milliseconds k_patience{1000};

    /// `fd` stays the caller's. If it is a pipe, writing to it never blocks.
    explicit StdoutSink(int fd);

    /// `bytes` were appended to the log, from this offset on.
    void pass(const std::shared_ptr<LogFile>& log, std::uint64_t offset, std::string_view bytes);
    /// Writes of what is behind as much as goes at once, within limits.
    void catch_up();
    /// Something that was passed is not written yet.
    [[nodiscard]] bool behind() const { return !owed_.empty(); }
    /// It is behind, and the reader has taken nothing for k_patience. Any thread.
    [[nodiscard]] bool stuck() const { return stuck_; }
    /// The reader moves, and more output now would take away what it still has to get.
    [[nodiscard]] bool needs_time() const;
    [[nodiscard]] int fd() const { return fd_; }

  private:
    /// What stdout still has to get of one log: all from here on.
    struct Owed {
        std::shared_ptr<LogFile> log;
        std::uint64_t from;
    };
    /// @return how much of it went
    std::size_t write(std::string_view bytes);
    std::size_t write_patiently(std::string_view bytes);
    bool pay(Owed& owed);
    void look_at_reader();

    const int given_;
    sys::UniqueFd own_;  ///< the same pipe, opened anew so that no one else's writes turn non-blocking
    int fd_;
    std::deque<Owed> owed_;
    std::uint64_t missed_ = 0;
    SteadyTime moved_{};  ///< when the reader took something last, or had nothing to take
    std::atomic<bool> stuck_{false};
};

}  // namespace sutfleet::agent
