#pragma once
// Ends the broker sessions of SUTs that are gone, one after the other on a thread of its own: the broker may be slow,
// and nobody waits for it.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "mqtt/session.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

class SessionEnder {
  public:
    /// `owner` is notified after each.
    explicit SessionEnder(const sys::Wake& owner);
    ~SessionEnder() { thread_.request_stop(); }
    SessionEnder(const SessionEnder&) = delete;
    SessionEnder& operator=(const SessionEnder&) = delete;

    void end(const SutName& sut, mqtt::SessionOptions as_agent);
    /// The SUTs that were tried since the last call. A failure is logged; the session then ends by its own expiry.
    std::vector<SutName> take_tried();

  private:
    void work(const std::stop_token& stop);

    const sys::Wake& owner_;
    std::mutex mutex_;
    std::condition_variable_any added_;
    std::deque<std::pair<SutName, mqtt::SessionOptions>> waiting_;
    std::vector<SutName> tried_;
    std::jthread thread_;
};

}  // namespace sutfleet
