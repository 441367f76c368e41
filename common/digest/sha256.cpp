// OpenSSL's own function for it, linked in: the newer interface needs all of libcrypto, which costs each agent 400 KB of
// memory that it shares with nobody.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "digest/sha256.hpp"

#include <openssl/sha.h>

#include <array>

namespace sutfleet {

void Sha256::Free::operator()(SHA256state_st* context) const { delete context; }

Sha256::Sha256() : context_(new SHA256state_st) { SHA256_Init(context_.get()); }

void Sha256::add(const char* bytes, std::size_t size) { SHA256_Update(context_.get(), bytes, size); }

std::string Sha256::hex() {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256_Final(digest.data(), context_.get());
    std::string out;
    for (const auto byte : digest) {
        out += "0123456789abcdef"[byte >> 4];
        out += "0123456789abcdef"[byte & 15];
    }
    return out;
}

}  // namespace sutfleet
