// OpenSSL's own function for it, linked in: the newer interface needs all of libcrypto, which costs each agent 400 KB of
// memory that it shares with nobody.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sha256.hpp"

#include <openssl/sha.h>
#include <unistd.h>

#include <array>
#include <vector>

namespace sutfleet::agent {

std::string sha256_of(int fd, const std::function<bool()>& enough) {
    SHA256_CTX context;
    SHA256_Init(&context);
    std::vector<char> buffer(256 * 1024);
    for (;;) {
        const auto got = ::read(fd, buffer.data(), buffer.size());
        if (got == 0) break;
        if (got < 0 || enough()) return {};
        SHA256_Update(&context, buffer.data(), static_cast<std::size_t>(got));
    }
    std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
    SHA256_Final(digest.data(), &context);
    std::string hex;
    for (const auto byte : digest) {
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
}

}  // namespace sutfleet::agent
