#pragma once
// A subscriber and a publisher that cost as little as they can, so that what is measured is not them: the few packets of
// MQTT 5 that it takes, on a socket. The subscriber checks the number of each line and takes repeats of the same boot,
// stream and offset away. Threads: the subscriber's own; everything public may be called from any.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "bench.hpp"
#include "sys/fd.hpp"

namespace sutfleet::bench {

class LineReader {
  public:
    /// Returns when it is subscribed. After a loss of the broker it comes back to the same session.
    LineReader(int port, std::string filter);
    ~LineReader();

    [[nodiscard]] std::uint64_t lines() const { return lines_; }  ///< each counted once
    [[nodiscard]] std::uint64_t lost() const { return lost_; }
    [[nodiscard]] std::uint64_t doubled() const { return doubled_; }
    [[nodiscard]] std::uint64_t repeated_bytes() const { return repeated_; }  ///< taken away by their offset
    [[nodiscard]] std::int64_t last_ns() const { return last_ns_; }  ///< when the last line came
    [[nodiscard]] Samples latencies();  ///< ms, of lines with a stamp

  private:
    void run(const std::stop_token& stop);
    void connect();
    void listen(const std::stop_token& stop);
    /// @return the bytes of whole packets at the begin of `bytes`
    std::size_t take_packets(std::string_view bytes);
    void take_publish(std::string_view packet, int qos);
    void take_lines(std::string_view text);
    void take_line(std::string_view line, std::int64_t now);

    const int port_;
    const std::string filter_, client_;
    sys::UniqueFd fd_;
    std::string answers_;  ///< acknowledgements to be sent
    std::map<std::string, std::uint64_t> ends_;  ///< of the streams, by boot, stream and job
    std::uint64_t next_ = 0;
    std::atomic<std::uint64_t> lines_{0}, lost_{0}, doubled_{0}, repeated_{0};
    std::atomic<std::int64_t> last_ns_{0};
    std::atomic<bool> subscribed_{false};
    std::mutex mutex_;
    Samples latencies_;
    std::jthread thread_;
};

/// Publishes lines at QoS 1, each by itself.
class LinePublisher {
  public:
    explicit LinePublisher(int port);
    void publish(const std::string& topic, std::string_view line);

  private:
    sys::UniqueFd fd_;
};

}  // namespace sutfleet::bench
