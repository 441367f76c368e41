#include "tls.hpp"

#include <curl/curl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sutfleet::docker {

Result<void> Tls::check() const {
    if (!on()) return {};
    for (const auto& [file, what] : {std::pair{&ca_, "the CA of the engine's certificate"}, std::pair{&cert_, "a certificate for this client"},
                                     std::pair{&key_, "the key of that certificate"}})
        if (::access(file->c_str(), R_OK) != 0)
            return fail(ErrorKind::transient, "cannot read " + *file + ": " + std::strerror(errno) + ": expected " + what +
                                                  ", in PEM, that user " + std::to_string(::geteuid()) + " can read");
    return {};
}

void Tls::apply(void* curl) const {
    if (!on()) return;
    auto* handle = static_cast<CURL*>(curl);
    curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(handle, CURLOPT_CAINFO, ca_.c_str());
    curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);  // no other CA counts
    curl_easy_setopt(handle, CURLOPT_SSLCERT, cert_.c_str());
    curl_easy_setopt(handle, CURLOPT_SSLKEY, key_.c_str());
}

std::string Tls::explain(int code, const std::string& detail) const {
    if (!on()) return {};
    // RFC 8446, 6.2: a TLS 1.3 server refuses a client's certificate by an alert after the client's handshake has ended.
    const auto says = [&](const char* part) { return detail.find(part) != std::string::npos; };
    if (says("alert") && (says("certificate") || says("unknown ca")))
        return "the engine refuses the certificate " + cert_ + ": expected one, not expired, of a CA that the engine was told by --tlscacert (" + detail + ")";
    switch (code) {
        case CURLE_SSL_CACERT_BADFILE: return ca_ + ": expected the CA of the engine's certificate, in PEM (" + detail + ")";
        case CURLE_SSL_CERTPROBLEM:
            return cert_ + " and " + key_ + ": expected a certificate and its key, in PEM, without a password (" + detail + ")";
        case CURLE_PEER_FAILED_VERIFICATION:
            return "the engine's certificate is refused: expected one for this address, not expired, of the CA in " + ca_ + " (" + detail + ")";
        case CURLE_SSL_CONNECT_ERROR: return "no TLS there: expected an engine with --tlsverify (" + detail + ")";
        default: return {};
    }
}

}  // namespace sutfleet::docker
