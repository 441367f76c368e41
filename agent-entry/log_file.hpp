#pragma once
// A log on disk that is appended to and read by offset. An offset is the byte position since the oldest byte that was
// on disk when this life of the agent began; it does not start again at a rotation. Rotated files are `<path>.1`
// (newest) to `<path>.<keep>`. What the disk does not take waits in a window of bounded size in memory, readable like
// the rest, and goes to the file when it can be written again; what did not fit the window is counted and marked in the
// file. Threads: any; a reader never waits for a writer's disk.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/timestamp.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_memory_window = 1024 * 1024;  ///< bytes of a log that wait for room on the disk
/// A longer line is split over two files after all: something that never ends a line must not fill the disk.
inline constexpr std::uint64_t k_longest_line = (std::uint64_t{1} << 30) + (1 << 20);

/// How many of `bytes` go into a file of `size` bytes, whose last byte is `last`, before it is rotated. 0: rotate
/// first. Files end with a line; one that does not fit is kept whole all the same. In twice `max_bytes` without a newline
/// a carriage return will do (a progress bar). Pure.
[[nodiscard]] std::size_t bytes_before_rotation(std::uint64_t size, char last, std::string_view bytes, std::uint64_t max_bytes);

class LogFile {
  public:
    /// Appends to what is there. `max_bytes` 0: never rotated.
    static Result<std::shared_ptr<LogFile>> open(std::string path, std::uint64_t max_bytes, unsigned keep);
    /// When that fails: what is appended waits in memory until the file can be opened.
    static std::shared_ptr<LogFile> open_later(std::string path, std::uint64_t max_bytes, unsigned keep, const Error& why);
    void set_limits(std::uint64_t max_bytes, unsigned keep);

    /// What cannot be written waits in memory; the error says why, and what a person can do.
    Result<void> append(std::string_view bytes);
    /// Tries again, at most once a second. @return ok when nothing waits any more.
    Result<void> settle();
    /// Of the oldest byte that can be read, and behind the newest.
    [[nodiscard]] std::uint64_t begin() const;
    [[nodiscard]] std::uint64_t end() const;
    /// Bytes that the file will never have.
    [[nodiscard]] std::uint64_t lost() const;

    /// Whether the next rotation takes away what is at this offset.
    [[nodiscard]] bool goes_next(std::uint64_t offset) const;

    struct Piece {
        std::string bytes;
        std::uint64_t offset = 0;   ///< of its first byte; more than asked for when something is gone
    };
    /// At most `limit` bytes from `offset` on; none only at the end.
    [[nodiscard]] Piece read(std::uint64_t offset, std::size_t limit) const;

  private:
    /// Bytes that follow each other in a file and in the stream.
    struct Segment {
        std::shared_ptr<const sys::UniqueFd> file;
        std::uint64_t begin = 0;  ///< offsets in the stream
        std::uint64_t end = 0;
        std::uint64_t at = 0;  ///< where it begins in the file
    };
    struct Part {
        std::shared_ptr<const sys::UniqueFd> file;
        std::uint64_t at = 0;
        std::size_t size = 0;
    };
    struct Plan {
        std::uint64_t offset = 0;
        std::vector<Part> parts;
        std::string from_memory;  ///< after the parts
    };
    LogFile(std::string path, std::uint64_t max_bytes, unsigned keep) : path_(std::move(path)), max_bytes_(max_bytes), keep_(keep) {}
    [[nodiscard]] std::string rotated(unsigned number) const { return path_ + "." + std::to_string(number); }
    void find_rotated();
    void add_file(sys::UniqueFd fd, std::uint64_t size);
    Result<void> open_newest();
    Result<void> open_behind_window();
    Result<void> rotate();
    [[nodiscard]] std::size_t next_part(std::string_view bytes);
    Result<void> write(std::string_view& bytes);
    Result<std::size_t> put(std::string_view bytes);
    Result<void> write_mark();
    Result<void> write_window();
    void hold(std::string_view bytes);
    void wrote(std::uint64_t position, std::size_t size, char last, bool from_window);
    Result<void> let_go_of_removed();
    [[nodiscard]] bool waits() const;
    [[nodiscard]] Plan plan(std::uint64_t offset, std::size_t limit) const;
    [[nodiscard]] Error explain(std::string_view what, int error) const;

    const std::string path_;
    std::atomic<std::uint64_t> max_bytes_;
    std::atomic<unsigned> keep_;

    std::mutex writing_;  ///< one writer at a time; guards what follows
    std::uint64_t size_ = 0;  ///< of the newest file
    char last_ = '\n';        ///< its last byte
    std::string mark_;        ///< what is still to be written of a mark
    std::uint64_t unmarked_ = 0;  ///< bytes lost before the window
    Error trouble_{};
    SteadyTime retry_at_{}, rotate_at_{};

    mutable std::mutex mutex_;  ///< guards what follows; never held during input or output
    std::deque<std::shared_ptr<const sys::UniqueFd>> files_;  ///< oldest first, the last is appended to
    std::deque<Segment> segments_;
    std::string window_;  ///< the newest bytes, as long as the disk does not take them
    std::uint64_t end_ = 0;
    std::uint64_t lost_ = 0;
};

}  // namespace sutfleet::agent
