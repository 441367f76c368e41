#pragma once
// A web server on a free port of 127.0.0.1 that does, for each path, what somebody's device may do to a probe.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "sys/fd.hpp"

namespace sutfleet::test {

class HttpServer {
  public:
    /// /ok, /500, /close (no byte), /cut (half of an answer), /garbage (no HTTP), /nostatus (nearly), /hang (no answer), /drip (a byte at a
    /// time, for ever), /endless (a body without end), /loop (redirects to itself), /file (redirects to a file)
    HttpServer();
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    [[nodiscard]] std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }
    [[nodiscard]] int asked() const { return asked_; }

  private:
    void serve(const std::stop_token& stop);
    void answer(const std::stop_token& stop, const sys::UniqueFd& client);
    sys::UniqueFd fd_;
    int port_ = 0;
    std::atomic<int> asked_{0};
    std::jthread thread_;
};

}  // namespace sutfleet::test
