#pragma once
// A log on disk that is appended to by one thread and read by offset from another. An offset is the byte
// position since the log began in this life of the agent; it does not start again at a rotation. Rotated files
// are `<path>.1` (newest) to `<path>.<keep>`.

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {

class LogFile {
  public:
    /// Appends to what is there. `max_bytes` 0: never rotated.
    static Result<std::shared_ptr<LogFile>> open(std::string path, std::uint64_t max_bytes, unsigned keep);

    /// The pump's thread. A failure loses these bytes for the file; the offset moves on all the same, and
    /// `lost` counts them.
    Result<void> append(std::string_view bytes);
    [[nodiscard]] std::uint64_t end() const;
    [[nodiscard]] std::uint64_t lost() const;

    /// Whether the next rotation takes away what is at this offset.
    [[nodiscard]] bool goes_next(std::uint64_t offset) const;

    struct Piece {
        std::string bytes;
        std::uint64_t offset = 0;   ///< of its first byte; more than asked for when something is gone
    };
    /// At most `limit` bytes from `offset` on. Any thread.
    [[nodiscard]] Piece read(std::uint64_t offset, std::size_t limit) const;

  private:
    /// One file of the log. `begin` may lie before 0: what an earlier life wrote.
    struct Segment {
        sys::UniqueFd fd;
        std::int64_t begin = 0;
        std::int64_t end = 0;
    };
    LogFile(std::string path, std::uint64_t max_bytes, unsigned keep)
        : path_(std::move(path)), max_bytes_(max_bytes), keep_(keep) {}
    Result<void> open_segment();
    Result<void> rotate();

    const std::string path_;
    const std::uint64_t max_bytes_;
    const unsigned keep_;
    mutable std::mutex mutex_;
    std::deque<std::shared_ptr<Segment>> segments_;  ///< oldest first, the last is appended to
    std::int64_t end_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace sutfleet::agent
