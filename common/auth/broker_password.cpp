#include "auth/broker_password.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace sutfleet::auth {
namespace {

constexpr int k_iterations = 101;  // mosquitto_passwd's default; the password itself has 192 random bits
constexpr std::size_t k_line_limit = 512;

template <std::size_t N>
Result<std::array<unsigned char, N>> random_bytes() {
    std::array<unsigned char, N> out{};
    if (RAND_bytes(out.data(), static_cast<int>(N)) != 1) return fail(ErrorKind::transient, "no random bytes");
    return out;
}

std::string base64(std::span<const unsigned char> bytes) {
    std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
    text.resize(static_cast<std::size_t>(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(), static_cast<int>(bytes.size()))));
    return text;
}

/// Empty for what is no base64.
std::vector<unsigned char> from_base64(std::string_view text) {
    std::vector<unsigned char> bytes(3 * (text.size() / 4 + 1));
    const int size = EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
    if (size < 0 || text.size() % 4 != 0) return {};
    bytes.resize(static_cast<std::size_t>(size) - std::min<std::size_t>(2, text.size() - text.find_last_not_of('=') - 1));
    return bytes;
}

bool all_of(std::string_view text, std::string_view letters) {
    return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
}

/// PBKDF2 of the password. @return empty when it failed
std::string hash_of(std::string_view password, std::span<const unsigned char> salt, int iterations) {
    std::array<unsigned char, 64> hash{};
    const bool done = PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(), static_cast<int>(salt.size()), iterations,
                                        EVP_sha512(), static_cast<int>(hash.size()), hash.data()) == 1;
    return done ? base64(hash) : std::string();
}

struct Line {
    std::string_view user, iterations, salt, hash;
};

std::optional<Line> parse(std::string_view line) {
    constexpr std::string_view k_digits = "0123456789", k_names = "abcdefghijklmnopqrstuvwxyz0123456789-",
                               k_base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    if (line.size() > k_line_limit) return std::nullopt;
    const auto colon = line.find(":$7$");
    if (colon == std::string_view::npos) return std::nullopt;
    Line out{.user = line.substr(0, colon), .iterations = {}, .salt = {}, .hash = {}};
    line.remove_prefix(colon + 4);
    for (auto* part : {&out.iterations, &out.salt}) {
        const auto end = std::min(line.find('$'), line.size());
        *part = line.substr(0, end);
        line.remove_prefix(std::min(line.size(), end + 1));
    }
    out.hash = line;
    const bool good = all_of(out.user, k_names) && all_of(out.iterations, k_digits) && out.iterations.size() < 6 && all_of(out.salt, k_base64) && all_of(out.hash, k_base64);
    return good ? std::optional(out) : std::nullopt;
}

}  // namespace

Result<std::string> make_password() {
    const auto secret = random_bytes<24>();
    if (!secret) return fail(secret.error());
    auto text = base64(*secret);
    std::ranges::replace(text, '+', '-');
    std::ranges::replace(text, '/', '_');
    return text;
}

Result<std::string> password_line(const std::string& user, const std::string& password) {
    const auto salt = random_bytes<12>();
    if (!salt) return fail(salt.error());
    const auto hash = hash_of(password, *salt, k_iterations);
    if (hash.empty()) return fail(ErrorKind::permanent, "PBKDF2 failed");
    return user + ":$7$" + std::to_string(k_iterations) + "$" + base64(*salt) + "$" + hash;
}

std::string user_of_line(std::string_view line) {
    const auto parsed = parse(line);
    return parsed ? std::string(parsed->user) : std::string();
}

bool password_is(std::string_view line, std::string_view password) {
    const auto parsed = parse(line);
    if (!parsed) return false;
    int iterations = 0;  // parse() took digits only, fewer than eight
    std::from_chars(parsed->iterations.data(), parsed->iterations.data() + parsed->iterations.size(), iterations);
    const auto hash = iterations > 0 ? hash_of(password, from_base64(parsed->salt), iterations) : std::string();
    return !hash.empty() && hash.size() == parsed->hash.size() && CRYPTO_memcmp(hash.data(), parsed->hash.data(), hash.size()) == 0;
}

}  // namespace sutfleet::auth
