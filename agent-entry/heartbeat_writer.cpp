#include "heartbeat_writer.hpp"

#include <algorithm>

#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/thread_name.hpp"

namespace sutfleet::agent {
namespace {
constexpr std::chrono::milliseconds k_look_again{200};
}  // namespace

HeartbeatWriter::HeartbeatWriter(std::string path, std::function<std::int64_t()> pump_tick, HealthRules rules)
    : path_(std::move(path)), pump_tick_(std::move(pump_tick)), main_ns_(sys::boot_ns()), rules_(std::move(rules)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

HeartbeatWriter::~HeartbeatWriter() { thread_.request_stop(); }

void HeartbeatWriter::main_ticked() { main_ns_ = sys::boot_ns(); }

void HeartbeatWriter::set_verdict(HealthVerdict verdict) {
    const std::scoped_lock lock(mutex_);
    if (verdict == verdict_) return;
    verdict_ = std::move(verdict);
    write_now_ = true;
    changed_.notify_all();
}

void HeartbeatWriter::set_rules(HealthRules rules) {
    const std::scoped_lock lock(mutex_);
    rules_ = std::move(rules);
    write_now_ = true;
    changed_.notify_all();
}

Heartbeat HeartbeatWriter::snapshot() const {
    return {sys::boot_ns(), main_ns_, pump_tick_(),
            std::chrono::duration_cast<std::chrono::nanoseconds>(rules_.max_age).count(), verdict_.health,
            verdict_.why};
}

void HeartbeatWriter::run(const std::stop_token& stop) {
    sys::name_thread("heartbeat");
    bool reported = false;
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        write_now_ = false;
        const auto beat = snapshot();
        const auto text = encode_heartbeat(beat);
        lock.unlock();
        const auto written = sys::write_file_atomic(path_, text, 0644, sys::Durability::fast);
        if (!written && !reported) sys::log(sys::Level::error, "heartbeat: " + written.error().message);
        reported = !written;
        lock.lock();
        // After a pause of the whole agent the others may move a moment later than this thread: that is not to be seen as
        // a hang until the next beat.
        const bool hangs = beat.written_ns - std::min(beat.main_ns, beat.pump_ns) > beat.max_age_ns / 2;
        const auto pause = hangs || !written ? std::min(rules_.heartbeat, k_look_again) : rules_.heartbeat;
        changed_.wait_for(lock, stop, pause, [this] { return write_now_; });
    }
}

}  // namespace sutfleet::agent
