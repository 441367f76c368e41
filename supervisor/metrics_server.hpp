#pragma once
// Answers GET /metrics over HTTP/1.1, on a unix socket or a TCP port, on a thread of its own. One client at a time, each
// within two seconds: who is slow is cut off. What it tells is asked for at each request, on its thread.

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet {

class MetricsServer {
  public:
    /// @param address `unix:///path` (an old socket there is replaced) or `tcp://127.0.0.1:port`, numbers only
    static Result<std::unique_ptr<MetricsServer>> open(const std::string& address, std::function<std::string()> text);
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

  private:
    MetricsServer(sys::UniqueFd listener, std::function<std::string()> text);
    void serve(const std::stop_token& stop);
    void answer(int client) const;
    const sys::UniqueFd listener_;
    const std::function<std::string()> text_;
    std::jthread thread_;
};

/// The whole answer to a request's first line. Pure.
[[nodiscard]] std::string metrics_answer(const std::string& request, const std::function<std::string()>& text);

}  // namespace sutfleet
