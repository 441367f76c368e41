#pragma once
// One HTTP request to the engine, over its unix socket or TCP, with a deadline and a size limit. libcurl stays
// behind the .cpp. Threads: any; each call has a connection of its own.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "engine.hpp"
#include "engine_address.hpp"
#include "tls.hpp"

namespace sutfleet::docker {

struct HttpAnswer {
    long status = 0;
    std::string body;
};

class HttpClient {
  public:
    /// `unix:///path` or `tcp://host:port`. @return invalid_input for anything else.
    static Result<HttpClient> open(const EngineAddress& address);

    struct Request {
        std::string method = "GET";
        std::string path;
        std::string body;
        std::string content_type = "application/json";
        std::chrono::milliseconds limit{30'000};
        /// Takes the body of an answer below 400, piece by piece, instead of HttpAnswer; false ends it.
        std::function<bool(std::string_view)> sink{};
    };
    /// @return transient when the engine does not answer, with what to do about it.
    Result<HttpAnswer> send(const Request& request) const;
    /// Streams an endless answer to `sink` until it returns false, `go_on` does, or the connection ends.
    /// `go_on` is asked at least once a second; `begun` is called once the answer's headers are there.
    Result<void> stream(const std::string& path, const std::function<bool(std::string_view)>& sink,
                        const std::function<bool()>& go_on, const std::function<void()>& begun) const;

    /// A request whose body is sent as it is read and whose answer is handed on as it comes: none of them is held in memory.
    struct Transfer {
        std::string path;
        const ByteSource& source;
        const std::function<void(std::string_view)>& sink;  ///< the answer, also one that is an error
        const std::function<bool()>& go_on;                 ///< asked at least once a second
        std::chrono::milliseconds limit{};
    };
    /// POST. @return its status; the source's error, when that ended it
    Result<long> transfer(const Transfer& request) const;

  private:
    struct EndHandle {
        void operator()(void* curl) const;
    };
    using Handle = std::unique_ptr<void, EndHandle>;  ///< a CURL
    /// What all requests have in common. @param detail takes libcurl's own words on an error @return permanent for a call that is not listed
    Result<Handle> begin(std::string_view method, const std::string& path, char* detail) const;
    [[nodiscard]] Error explain(void* curl, int code, const char* detail) const;

    std::string socket_;  ///< empty for TCP
    std::string base_;
    Tls tls_;
};

inline constexpr std::size_t k_answer_limit = 64 * 1024 * 1024;

}  // namespace sutfleet::docker
