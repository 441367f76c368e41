#include "certificate.hpp"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::size_t k_limit = 64 * 1024;
constexpr std::size_t k_bundle_limit = 1024 * 1024;  ///< a system's has 200 KiB

std::string date_of(WallTime at) { return format_rfc3339(at).substr(0, 10); }

}  // namespace

Result<WallTime> certificate_end(const std::string& pem) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        text ? PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr) : nullptr, &X509_free);
    std::tm when{};
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &when) != 1)
        return fail(ErrorKind::invalid_input, "expected a certificate in PEM form");
    return WallTime(std::chrono::seconds(::timegm(&when)));
}

Result<WallTime> certificates_end(const std::string& folder) {
    const auto text = sys::read_file(folder + "/server.pem", k_limit);
    if (!text) return fail(text.error());
    auto end = certificate_end(*text);
    if (!end) return fail(end.error().with(folder + "/server.pem"));
    if (const auto authority = sys::read_file(folder + "/ca.pem", k_limit))
        if (const auto its = certificate_end(*authority)) *end = std::min(*end, *its);
    return end;
}

Result<std::string> read_authority(const Settings& settings) {
    if (!settings.agent_tls()) return std::string();
    auto text = sys::read_file(settings.agent_ca, k_bundle_limit);
    if (!text) return text;
    if (const auto end = certificate_end(*text); !end) return fail(end.error().with(settings.agent_ca));
    return text;
}

std::string certificate_word(const Result<WallTime>& end, WallTime now) {
    constexpr const char* k_todo = "; renew it by ./tools/up, which restarts no agent";
    if (!end && end.error().kind == ErrorKind::not_found) return "none";
    if (!end) return "degraded: the broker's certificate cannot be read: " + end.error().message;
    if (*end <= now) return "degraded: the broker's certificate has ended on " + date_of(*end) + k_todo;
    if (*end - now < k_certificate_warning) return "degraded: the broker's certificate ends on " + date_of(*end) + k_todo;
    return "until " + date_of(*end);
}

}  // namespace sutfleet
