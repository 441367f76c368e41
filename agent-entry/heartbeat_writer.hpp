#pragma once
// Writes the heartbeat file from a thread of its own. It carries the ages of the main loop's and the pump's last
// turns, so that a thread that hangs cannot hide behind this one.

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "core/heartbeat.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet::agent {

class HeartbeatWriter {
  public:
    HeartbeatWriter(std::string path, std::function<std::int64_t()> pump_tick, HealthRules rules);
    ~HeartbeatWriter();

    void main_ticked();
    void set_verdict(HealthVerdict verdict);
    void set_rules(HealthRules rules);

  private:
    void run(const std::stop_token& stop);
    [[nodiscard]] Heartbeat snapshot() const;

    const std::string path_;
    const std::function<std::int64_t()> pump_tick_;
    std::atomic<std::int64_t> main_ns_;
    mutable std::mutex mutex_;
    std::condition_variable_any changed_;
    bool write_now_ = false;
    HealthVerdict verdict_;
    HealthRules rules_;
    std::jthread thread_;
};

}  // namespace sutfleet::agent
