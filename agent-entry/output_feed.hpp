#pragma once
// Carries one log to `<sut>/output`: reads the file from the offset that the broker has acknowledged, so that an
// outage costs time and nothing else. It holds no queue: only the offsets of a few batches in flight. The first
// line after quiet goes at once, then lines are gathered for 20 ms or 16 KiB, in a flood to 64 KiB.
// Main thread only.

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/result.hpp"
#include "core/timestamp.hpp"
#include "log_file.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_batch = 16 * 1024;
inline constexpr std::size_t k_flood_batch = 64 * 1024;
inline constexpr std::size_t k_batches_in_flight = 8;
inline constexpr std::size_t k_told_together = 4;  ///< acknowledgements, in a flood: a wake for each costs more than the batch
inline constexpr std::chrono::milliseconds k_gather{20};
inline constexpr std::chrono::milliseconds k_partial_line{500};  ///< a prompt without a newline is shown after it

struct OutputBatch {
    std::string text;       ///< whole lines without the last newline; never empty
    std::uint64_t offset;   ///< of the first byte, in the stream
    std::uint64_t bytes;    ///< of the stream: with the newline that `text` lacks
    std::uint64_t dropped;  ///< bytes before it that are gone for ever
    bool quiet;             ///< its acknowledgement need not be told: one behind it will be
};

class OutputFeed {
  public:
    /// Publishes a batch; @return its id, or an error when it cannot be taken now.
    using Publish = std::function<Result<std::uint64_t>(OutputBatch&&)>;

    explicit OutputFeed(std::shared_ptr<LogFile> log) : log_(std::move(log)), sent_(log_->end()), acknowledged_(sent_) {}

    /// Sends what is due. `flush`: the stream has ended, so a last line without a newline goes too.
    void run(SteadyTime now, bool flush, const Publish& publish);
    void acknowledged(std::uint64_t publish_id);
    /// The connection is a new one: what was in flight is sent again.
    void rewind();
    /// When to run again without new output; nothing: only after output or an acknowledgement.
    [[nodiscard]] std::optional<SteadyTime> due() const { return due_; }
    /// It waits for an acknowledgement.
    [[nodiscard]] bool full() const { return in_flight_.size() >= k_batches_in_flight; }
    /// Everything that was written has been given to the session.
    [[nodiscard]] bool sent_all() const { return sent_ == log_->end(); }
    /// Everything that was written has been acknowledged.
    [[nodiscard]] bool idle() const { return acknowledged_ == log_->end() && in_flight_.empty(); }
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

  private:
    struct InFlight {
        std::uint64_t id;
        std::uint64_t end;
        std::uint64_t dropped;  ///< up to its end
    };
    /// The bytes of `text` to send now; 0: wait.
    [[nodiscard]] std::size_t cut(const std::string& text, SteadyTime now, bool flush);

    std::shared_ptr<LogFile> log_;
    std::uint64_t sent_;
    std::uint64_t acknowledged_;
    std::uint64_t dropped_ = 0;
    std::uint64_t dropped_acknowledged_ = 0;
    void skip(std::uint64_t to);
    std::deque<InFlight> in_flight_;
    SteadyTime last_sent_{};
    std::optional<SteadyTime> due_;
    std::optional<SteadyTime> partial_since_;  ///< a line without its newline waits
};

}  // namespace sutfleet::agent
