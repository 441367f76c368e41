#include "auth/broker_password.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

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

template <std::size_t N>
std::string base64(const std::array<unsigned char, N>& bytes) {
    std::array<unsigned char, 4 * ((N + 2) / 3) + 1> text{};
    const int length = EVP_EncodeBlock(text.data(), bytes.data(), static_cast<int>(N));
    return {text.begin(), text.begin() + length};
}

bool all_of(std::string_view text, std::string_view letters) {
    return !text.empty() && text.find_first_not_of(letters) == std::string_view::npos;
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
    std::array<unsigned char, 64> hash{};
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt->data(), static_cast<int>(salt->size()),
                          k_iterations, EVP_sha512(), static_cast<int>(hash.size()), hash.data()) != 1)
        return fail(ErrorKind::permanent, "PBKDF2 failed");
    return user + ":$7$" + std::to_string(k_iterations) + "$" + base64(*salt) + "$" + base64(hash);
}

std::string user_of_line(std::string_view line) {
    constexpr std::string_view k_digits = "0123456789", k_names = "abcdefghijklmnopqrstuvwxyz0123456789-",
                               k_base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    if (line.size() > k_line_limit) return {};
    const auto colon = line.find(":$7$");
    if (colon == std::string_view::npos) return {};
    const auto user = line.substr(0, colon);
    line.remove_prefix(colon + 4);
    std::array<std::string_view, 3> parts;
    for (auto& part : parts) {
        const auto end = &part == &parts.back() ? line.size() : std::min(line.find('$'), line.size());
        part = line.substr(0, end);
        line.remove_prefix(std::min(line.size(), end + 1));
    }
    const bool good = all_of(user, k_names) && all_of(parts[0], k_digits) && parts[0].size() < 8 && all_of(parts[1], k_base64) && all_of(parts[2], k_base64);
    return good ? std::string(user) : std::string();
}

}  // namespace sutfleet::auth
