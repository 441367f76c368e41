#pragma once
// Looks at the subprocess's output for `unhealthy_on` and `clear_on`, on a thread of its own that is only there when
// there are patterns. It reads the log file that the pump has written, so it costs neither the pump nor the child
// any time; output that is rotated away before it was read is not looked at, and that is logged.

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/heartbeat.hpp"
#include "core/sut_conf.hpp"
#include "line_watch.hpp"
#include "log_file.hpp"
#include "sys/wake.hpp"

namespace sutfleet::agent {

class OutputWatch {
  public:
    /// `owner` is notified when the verdict changes.
    OutputWatch(std::shared_ptr<LogFile> log, const sys::Wake& owner) : log_(std::move(log)), owner_(owner) {}
    ~OutputWatch();

    /// Main thread, as are the next two. Patterns that are bad leave none, and the verdict says so.
    void set_rules(const HealthRules& rules);
    /// There may be new output.
    void look();
    /// What is written from now on is of a new life of the subprocess.
    void command_starts();
    [[nodiscard]] HealthVerdict verdict() const;

  private:
    void run(const std::stop_token& stop);
    void read_on(std::unique_lock<std::mutex>& lock);

    const std::shared_ptr<LogFile> log_;
    const sys::Wake& owner_;
    std::vector<std::string> unhealthy_on_, clear_on_;  ///< main thread's: as they are compiled
    std::uint64_t seen_ = 0;                            ///< main thread's: the log's end at the last look
    mutable std::mutex mutex_;                          ///< guards all below; lines_ and at_ are the thread's own
    std::condition_variable_any changed_;
    std::optional<LineWatch::Rules> fresh_rules_;
    std::optional<std::uint64_t> restart_at_;
    std::string why_, trouble_;
    std::uint64_t at_ = 0;
    LineWatch lines_;
    std::jthread thread_;
};

}  // namespace sutfleet::agent
