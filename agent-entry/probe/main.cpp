// http-probe: one GET, one line. A program of its own, so that only it carries libcurl, and whatever a server does to
// it, no more than this one result is lost. It exits 0 when it could say the line, whatever the line says.

#include <curl/curl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/version.hpp"
#include "probe_text.hpp"

namespace {

using std::chrono::milliseconds;

constexpr const char* k_help =
    "http-probe: GET an address, say `state: ok|timeout|error | resp_t: 0.21 sec`\n\n"
    "  http-probe MILLISECONDS URL   the time that it may take; http:// or https://\n"
    "  SSL_CERT_FILE                 certificates to trust, instead of the system's\n"
    "  --help, --version\n";
constexpr std::size_t k_enough = 1024 * 1024;  ///< of a body: a server that sends for ever has answered
constexpr long k_redirects = 5;

std::size_t count_body(char*, std::size_t size, std::size_t number, void* sum) {
    auto& total = *static_cast<std::size_t*>(sum);
    total += size * number;
    return total > k_enough ? 0 : size * number;
}

/// The line goes out before anything is cleaned up: libcurl may wait there for a name server.
[[noreturn]] void say(const std::string& line) {
    const auto text = line + "\n";
    const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
    ::_exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
}

void set_up(CURL* curl, const std::string& url, long limit_ms, std::size_t& body) {
    curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, k_redirects);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, limit_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, limit_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sutfleet-probe");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    if (const char* file = std::getenv("SSL_CERT_FILE")) curl_easy_setopt(curl, CURLOPT_CAINFO, file);
}

[[noreturn]] void probe(const std::string& url, long limit_ms) {
    std::array<char, CURL_ERROR_SIZE> reason{};
    std::size_t body = 0;
    CURL* curl = curl_easy_init();
    if (curl == nullptr) say(sutfleet::probe_text("error", milliseconds{0}, "libcurl cannot be used"));
    set_up(curl, url, limit_ms, body);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason.data());
    const auto result = curl_easy_perform(curl);
    curl_off_t taken_us = 0;
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME_T, &taken_us);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    const milliseconds taken{taken_us / 1000};
    if (result == CURLE_OPERATION_TIMEDOUT) say(sutfleet::probe_text("timeout", taken));
    const bool answered = result == CURLE_OK || (result == CURLE_WRITE_ERROR && body > k_enough);
    if (!answered) say(sutfleet::probe_text("error", taken, reason[0] != 0 ? reason.data() : curl_easy_strerror(result)));
    // libcurl takes status lines for answers that have none.
    if (status < 100) say(sutfleet::probe_text("error", taken, "no HTTP status"));
    if (status >= 400) say(sutfleet::probe_text("error", taken, "HTTP " + std::to_string(status)));
    say(sutfleet::probe_text("ok", taken));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string first = argc > 1 ? argv[1] : "";
    if (first == "--help") return std::fputs(k_help, stdout), 0;
    if (first == "--version") return std::printf("http-probe %s\n", std::string(sutfleet::k_version).c_str()), 0;
    long limit_ms = 0;
    const auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), limit_ms);
    if (argc != 3 || error != std::errc{} || end != first.data() + first.size() || limit_ms <= 0) {
        std::fprintf(stderr, "http-probe: expected a number of milliseconds and an address\n%s", k_help);
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    probe(argv[2], limit_ms);
}
