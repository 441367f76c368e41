#include "http_client.hpp"

#include <curl/curl.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace sutfleet::docker {
namespace {

struct Cleanup {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Handle = std::unique_ptr<CURL, Cleanup>;
using Headers = std::unique_ptr<curl_slist, Cleanup>;

std::size_t collect(char* bytes, std::size_t size, std::size_t count, void* into) noexcept try {
    auto& body = *static_cast<std::string*>(into);
    if (body.size() + size * count > k_answer_limit) return 0;  // ends the transfer
    body.append(bytes, size * count);
    return size * count;
} catch (...) {
    return 0;
}

struct Stream {
    const std::function<bool(std::string_view)>& sink;
    const std::function<bool()>& go_on;
    const std::function<void()>& begun;
};

/// The empty line ends the headers.
std::size_t hear_header(char* bytes, std::size_t size, std::size_t count, void* into) noexcept try {
    if (std::string_view(bytes, size * count) == "\r\n") static_cast<Stream*>(into)->begun();
    return size * count;
} catch (...) {
    return 0;
}

std::size_t pass_on(char* bytes, std::size_t size, std::size_t count, void* into) noexcept try {
    return static_cast<Stream*>(into)->sink({bytes, size * count}) ? size * count : 0;
} catch (...) {
    return 0;
}

int progress(void* from, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept try {
    return static_cast<Stream*>(from)->go_on() ? 0 : 1;
} catch (...) {
    return 1;
}

Error explain(CURL* curl, CURLcode code, const char* detail, const std::string& where) {
    std::string text = detail[0] != '\0' ? detail : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT) {
        long error = 0;
        curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
        text = error == 0 ? "cannot connect" : std::strerror(static_cast<int>(error));
        text += error == EACCES ? ": no rights on it; run as root or in the group of the socket"
                                : ": is the container engine running?";
    }
    return {ErrorKind::transient, "engine at " + where + ": " + text};
}

}  // namespace

Result<HttpClient> HttpClient::open(const std::string& docker_host) {
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (started != CURLE_OK) return fail(ErrorKind::permanent, "libcurl cannot start");
    constexpr std::string_view k_unix = "unix://", k_tcp = "tcp://";
    HttpClient client;
    if (docker_host.starts_with(k_unix)) {
        client.socket_ = docker_host.substr(k_unix.size());
        client.base_ = "http://engine";
        return client;
    }
    if (docker_host.starts_with(k_tcp)) {
        client.base_ = "http://" + docker_host.substr(k_tcp.size());
        return client;
    }
    return fail(ErrorKind::invalid_input, "DOCKER_HOST is '" + docker_host + "': expected unix:///path or tcp://host:port");
}

Result<HttpAnswer> HttpClient::send(const Request& request) const {
    const Handle handle(curl_easy_init());
    if (!handle) return fail(ErrorKind::transient, "out of memory");
    CURL* curl = handle.get();
    HttpAnswer answer;
    char detail[CURL_ERROR_SIZE] = "";
    const std::string url = base_ + request.path;
    const Headers headers(curl_slist_append(
        curl_slist_append(nullptr, ("Content-Type: " + request.content_type).c_str()), "Expect:"));
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // no name makes another path by its dots
    if (!socket_.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method != "GET") {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
    const auto code = curl_easy_perform(curl);
    if (code == CURLE_WRITE_ERROR) return fail(ErrorKind::permanent, "the engine's answer is too large");
    if (code != CURLE_OK) return fail(explain(curl, code, detail, socket_.empty() ? base_ : socket_));
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer.status);
    return answer;
}

Result<void> HttpClient::stream(const std::string& path, const std::function<bool(std::string_view)>& sink,
                                const std::function<bool()>& go_on, const std::function<void()>& begun) const {
    const Handle handle(curl_easy_init());
    if (!handle) return fail(ErrorKind::transient, "out of memory");
    CURL* curl = handle.get();
    Stream stream{sink, go_on, begun};
    char detail[CURL_ERROR_SIZE] = "";
    const std::string url = base_ + path;
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // no name makes another path by its dots
    if (!socket_.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pass_on);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &stream);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, hear_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &stream);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &stream);
    const auto code = curl_easy_perform(curl);
    if (code == CURLE_OK || code == CURLE_WRITE_ERROR || code == CURLE_ABORTED_BY_CALLBACK) return {};
    return fail(explain(curl, code, detail, socket_.empty() ? base_ : socket_));
}

}  // namespace sutfleet::docker
