#pragma once
// Owns the read ends of the children's pipes and the thread that empties them: any bytes, to the container's
// stdout and to the child's log file, but for secrets' values. It never waits for the broker: MQTT reads the files (see output_feed.hpp).
// A pipe that a grandchild keeps open is let go of when its child has ended and the pipe is empty.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/result.hpp"
#include "line_label.hpp"
#include "log_file.hpp"
#include "masker.hpp"
#include "secret_files.hpp"
#include "stdout_sink.hpp"
#include "sys/fd.hpp"
#include "sys/wake.hpp"

namespace sutfleet::agent {

using SourceId = std::uint64_t;

class Pump {
  public:
    /// `owner` is notified when a source ended, and of output as it listens. `out` is the container's stdout. The
    /// values in the folder `secrets` are masked, as they are at any time.
    static Result<std::unique_ptr<Pump>> open(const sys::Wake& owner, int out, const std::string& secrets);
    ~Pump();

    /// Makes a pipe whose bytes go to `log`; with a label, line by line behind it. @return the write end, for the child.
    Result<std::pair<SourceId, sys::UniqueFd>> add(std::shared_ptr<LogFile> log, const std::string& label = {});
    /// The child of this source has ended: read what is there, then close.
    void finish(SourceId source);
    /// Sources that are drained and closed since the last call.
    std::vector<SourceId> take_ended();
    /// Why the files cannot be written; empty while they can.
    [[nodiscard]] std::string trouble() const;
    /// What the agent itself has to say in a child's log. Any thread; not on stdout.
    void note(const std::shared_ptr<LogFile>& log, std::string_view text);
    /// Nobody reads the container's stdout.
    [[nodiscard]] bool stdout_stuck() const { return out_.stuck(); }
    /// From now on the owner is notified of each so many bytes of output.
    void listen(std::size_t bytes);
    /// The longest time between two ticks.
    void set_turn(std::chrono::milliseconds longest) { turn_ms_ = static_cast<int>(longest.count()); }
    /// CLOCK_BOOTTIME in ns of the pump's last turn.
    [[nodiscard]] std::int64_t last_tick_ns() const { return tick_ns_; }

  private:
    struct Source {
        SourceId id;
        sys::UniqueFd fd;
        std::shared_ptr<LogFile> log;
        std::optional<Masker> masker;
        std::shared_ptr<const Secrets> secrets{};  ///< that the masker has
        std::optional<LineLabel> label;
        bool finishing = false;  ///< guarded by mutex_
    };
    Pump(const sys::Wake& owner, sys::Wake wake, int out, const std::string& secrets)
        : owner_(owner), wake_(std::move(wake)), out_(out), secrets_(secrets) {}
    void close_out();
    /// Waits for something to do. @return whether the children are to be read now
    bool wait(const std::vector<std::shared_ptr<Source>>& now);
    void tell_owner(std::size_t bytes);
    void run(const std::stop_token& stop);
    [[nodiscard]] std::vector<std::shared_ptr<Source>> sources() const;
    /// @return false at the end of the stream.
    bool empty(Source& source, bool finishing, std::span<char> buffer);
    void renew_masker(Source& source);
    void take(Source& source, std::string_view bytes);
    void pass_on(Source& source, std::string_view bytes);
    void write_out(const Source& source, std::string_view bytes);
    void drop(Source& source);
    void append(const std::shared_ptr<LogFile>& log, std::string_view bytes);
    void settle_logs();

    const sys::Wake& owner_;
    sys::Wake wake_;
    StdoutSink out_;  ///< but for stuck(), the thread's own
    SecretFiles secrets_;  ///< the thread's own
    std::size_t read_ = 0;  ///< bytes, in this turn; the thread's own
    mutable std::mutex mutex_;  ///< guards all below, up to tick_ns_
    std::vector<std::shared_ptr<Source>> sources_;
    std::vector<SourceId> ended_;
    std::string trouble_;
    std::vector<std::shared_ptr<LogFile>> unsettled_;  ///< logs with something that is not on disk yet
    SourceId next_ = 1;
    std::atomic<std::size_t> listened_{1};
    std::atomic<std::size_t> unheard_{0};  ///< bytes since the owner listened, or was notified
    std::atomic<std::int64_t> tick_ns_{0};
    std::atomic<int> turn_ms_{1000};
    std::jthread thread_;
};

}  // namespace sutfleet::agent
