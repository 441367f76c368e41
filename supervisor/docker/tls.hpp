#pragma once
// The certificates of a TLS connection to the engine, as files that may be replaced at any time: they are read anew for
// each connection. What is wrong with them is said with the file and what was expected, and tried again. Threads: any.

#include <string>

#include "core/result.hpp"

namespace sutfleet::docker {

class Tls {
  public:
    Tls() = default;  ///< none
    /// @param folder as the docker CLI has it: ca.pem, cert.pem, key.pem
    explicit Tls(const std::string& folder) : ca_(folder + "/ca.pem"), cert_(folder + "/cert.pem"), key_(folder + "/key.pem") {}
    [[nodiscard]] bool on() const { return !ca_.empty(); }
    /// @return transient when a file cannot be read
    [[nodiscard]] Result<void> check() const;
    /// @param curl a CURL*
    void apply(void* curl) const;
    /// What a failed connection means. @return empty when it is not about certificates
    /// @param code a CURLcode; `detail`: in libcurl's words
    [[nodiscard]] std::string explain(int code, const std::string& detail) const;

  private:
    std::string ca_, cert_, key_;
};

}  // namespace sutfleet::docker
