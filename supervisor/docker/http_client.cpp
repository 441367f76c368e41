#include "http_client.hpp"

#include <curl/curl.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "calls.hpp"

namespace sutfleet::docker {
namespace {

struct FreeHeaders {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using Headers = std::unique_ptr<curl_slist, FreeHeaders>;

Headers headers_of(std::initializer_list<const char*> lines) {
    Headers out;
    for (const auto* line : lines)
        if (auto* longer = curl_slist_append(out.get(), line)) static_cast<void>(out.release()), out.reset(longer);
    return out;
}

using Begun = std::function<void()>;
using Sink = std::function<bool(std::string_view)>;
using GoOn = std::function<bool()>;

long status_of(CURL* curl) {
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/// libcurl takes status lines for answers that are none, and calls their status 0 or -1.
bool is_status(long status) { return status >= 100; }

CURLcode perform(CURL* curl) {
    const auto code = curl_easy_perform(curl);
    return code == CURLE_OK && !is_status(status_of(curl)) ? CURLE_WEIRD_SERVER_REPLY : code;
}

struct Collection {
    CURL* curl;
    const Sink& sink;
    std::string& body;
    bool sink_ended = false;
};

std::size_t collect(char* bytes, std::size_t size, std::size_t count, void* into) noexcept try {
    auto& to = *static_cast<Collection*>(into);
    const auto status = status_of(to.curl);
    if (to.sink && is_status(status) && status < 400) {
        to.sink_ended = !to.sink({bytes, size * count});
        return to.sink_ended ? 0 : size * count;
    }
    if (to.body.size() + size * count > k_answer_limit) return 0;  // ends the transfer
    to.body.append(bytes, size * count);
    return size * count;
} catch (...) {
    return 0;
}

/// A function of the caller's, as libcurl carries it.
template <typename Function>
void* carried(const Function& function) {
    return const_cast<Function*>(&function);
}

/// The empty line ends the headers.
std::size_t hear_header(char* bytes, std::size_t size, std::size_t count, void* begun) noexcept try {
    if (std::string_view(bytes, size * count) == "\r\n") (*static_cast<const Begun*>(begun))();
    return size * count;
} catch (...) {
    return 0;
}

std::size_t pass_on(char* bytes, std::size_t size, std::size_t count, void* sink) noexcept try {
    return (*static_cast<const Sink*>(sink))({bytes, size * count}) ? size * count : 0;
} catch (...) {
    return 0;
}

struct Sending {
    const ByteSource& source;
    std::optional<Error> error;  ///< of the source
};

std::size_t give(char* into, std::size_t size, std::size_t count, void* from) noexcept try {
    auto& sending = *static_cast<Sending*>(from);
    const auto got = sending.source(into, size * count);
    if (got) return *got;
    sending.error = got.error();
    return CURL_READFUNC_ABORT;
} catch (...) {
    return CURL_READFUNC_ABORT;
}

int progress(void* go_on, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept try {
    return (*static_cast<const GoOn*>(go_on))() ? 0 : 1;
} catch (...) {
    return 1;
}

void take_answer(CURL* curl, const Sink& sink) {
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, pass_on);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, carried(sink));
}

void ask_on(CURL* curl, const GoOn& go_on) {
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, carried(go_on));
}

/// As the docker CLI completes it.
std::string with_port(std::string place, bool tls) {
    const auto after_v6 = place.rfind(']');
    const auto colon = place.find(':', after_v6 == std::string::npos ? 0 : after_v6);
    return colon == std::string::npos ? std::move(place) + (tls ? ":2376" : ":2375") : std::move(place);
}

std::string home_folder() {
    const char* home = std::getenv("HOME");
    return home == nullptr ? std::string() : std::string(home);
}

}  // namespace

Result<HttpClient> HttpClient::open(const EngineAddress& address) {
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (started != CURLE_OK) return fail(ErrorKind::permanent, "libcurl cannot start");
    constexpr std::string_view k_unix = "unix://", k_tcp = "tcp://";
    HttpClient client;
    if (address.host.starts_with(k_unix)) {
        client.socket_ = address.host.substr(k_unix.size());
        client.base_ = "http://engine";
        return client;
    }
    if (!address.host.starts_with(k_tcp))
        return fail(ErrorKind::invalid_input, "DOCKER_HOST is '" + address.host + "': expected unix:///path or tcp://host:port");
    const bool tls = !address.tls_verify.empty();
    if (!tls && !address.cert_path.empty())
        return fail(ErrorKind::invalid_input, "DOCKER_CERT_PATH is '" + address.cert_path +
                                                  "' and DOCKER_TLS_VERIFY is not set: expected DOCKER_TLS_VERIFY=1; no engine is used by TLS unverified");
    if (tls) client.tls_ = Tls(address.cert_path.empty() ? home_folder() + "/.docker" : address.cert_path);
    client.base_ = (tls ? "https://" : "http://") + with_port(address.host.substr(k_tcp.size()), tls);
    return client;
}

void HttpClient::EndHandle::operator()(void* curl) const { curl_easy_cleanup(curl); }

Result<HttpClient::Handle> HttpClient::begin(std::string_view method, const std::string& path, char* detail) const {
    if (!is_listed(method, path))
        return fail(ErrorKind::permanent, std::string(method) + " " + path.substr(0, path.find('?')) + " is not on the list of calls in docker/calls.hpp");
    if (auto readable = tls_.check(); !readable) return fail(readable.error().with("engine at " + base_));
    Handle handle(curl_easy_init());
    if (!handle) return fail(ErrorKind::transient, "out of memory");
    CURL* curl = handle.get();
    curl_easy_setopt(curl, CURLOPT_URL, (base_ + path).c_str());
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);  // no name makes another path by its dots
    if (!socket_.empty()) curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket_.c_str());
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5'000L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    tls_.apply(curl);
    return handle;
}

Error HttpClient::explain(void* curl, int code, const char* detail) const {
    std::string text = detail[0] != '\0' ? detail : curl_easy_strerror(static_cast<CURLcode>(code));
    if (code == CURLE_COULDNT_CONNECT) {
        long error = 0;
        curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &error);
        text = error == 0 ? "cannot connect" : std::strerror(static_cast<int>(error));
        text += error == EACCES ? ": no rights on it; run as root or in the group of the socket"
                                : ": is the container engine running?";
    }
    if (auto meaning = tls_.explain(code, text); !meaning.empty()) text = std::move(meaning);
    return {ErrorKind::transient, "engine at " + (socket_.empty() ? base_ : socket_) + ": " + text};
}

Result<HttpAnswer> HttpClient::send(const Request& request) const {
    char detail[CURL_ERROR_SIZE] = "";
    const auto handle = begin(request.method, request.path, detail);
    if (!handle) return fail(handle.error());
    CURL* curl = handle->get();
    HttpAnswer answer;
    const auto headers = headers_of({("Content-Type: " + request.content_type).c_str(), "Expect:"});
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    if (request.method != "GET") {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    Collection collection{curl, request.sink, answer.body};
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &collection);
    const auto code = perform(curl);
    if (code == CURLE_WRITE_ERROR && !collection.sink_ended) return fail(ErrorKind::permanent, "the engine's answer is too large");
    if (code != CURLE_OK && !collection.sink_ended) return fail(explain(curl, code, detail));
    answer.status = status_of(curl);
    return answer;
}

Result<void> HttpClient::stream(const std::string& path, const std::function<bool(std::string_view)>& sink,
                                const std::function<bool()>& go_on, const std::function<void()>& begun) const {
    char detail[CURL_ERROR_SIZE] = "";
    const auto handle = begin("GET", path, detail);
    if (!handle) return fail(handle.error());
    CURL* curl = handle->get();
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, hear_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, carried(begun));
    take_answer(curl, sink);
    ask_on(curl, go_on);
    const auto code = perform(curl);
    if (code == CURLE_OK || code == CURLE_WRITE_ERROR || code == CURLE_ABORTED_BY_CALLBACK) return {};
    return fail(explain(curl, code, detail));
}

Result<long> HttpClient::transfer(const Transfer& request) const {
    char detail[CURL_ERROR_SIZE] = "";
    const auto handle = begin("POST", request.path, detail);
    if (!handle) return fail(handle.error());
    CURL* curl = handle->get();
    Sending sending{request.source, std::nullopt};
    const auto headers = headers_of({"Content-Type: application/x-tar", "Transfer-Encoding: chunked", "Expect:"});
    const Sink sink = [&request](std::string_view bytes) { return request.sink(bytes), true; };
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, give);
    curl_easy_setopt(curl, CURLOPT_READDATA, &sending);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
    take_answer(curl, sink);
    ask_on(curl, request.go_on);
    const auto code = perform(curl);
    if (sending.error) return fail(*sending.error);
    if (code == CURLE_ABORTED_BY_CALLBACK) return fail(ErrorKind::transient, "it was ended");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fail(ErrorKind::transient, "it took longer than " + std::to_string(request.limit.count() / 1000) + " s");
    const auto status = status_of(curl);
    // A refusal can come, and the connection end, before all was sent.
    if (code != CURLE_OK && status < 400) return fail(explain(curl, code, detail));
    return status;
}

}  // namespace sutfleet::docker
