#pragma once
// SHA-256 (FIPS 180-4) of bytes as they come. One thread.

#include <cstddef>
#include <memory>
#include <string>

struct SHA256state_st;  // OpenSSL's

namespace sutfleet {

class Sha256 {
  public:
    Sha256();
    void add(const char* bytes, std::size_t size);
    [[nodiscard]] std::string hex();  ///< in lower-case digits; once, at the end

  private:
    struct Free {
        void operator()(SHA256state_st* context) const;
    };
    std::unique_ptr<SHA256state_st, Free> context_;
};

}  // namespace sutfleet
