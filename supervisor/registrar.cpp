#include "registrar.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <array>

#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr int k_iterations = 101;  // mosquitto_passwd's default; the password itself has 192 random bits

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

Result<std::string> password_line(const std::string& user, const std::string& password) {
    const auto salt = random_bytes<12>();
    if (!salt) return fail(salt.error());
    std::array<unsigned char, 64> hash{};
    if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt->data(), static_cast<int>(salt->size()),
                          k_iterations, EVP_sha512(), static_cast<int>(hash.size()), hash.data()) != 1)
        return fail(ErrorKind::permanent, "PBKDF2 failed");
    return user + ":$7$" + std::to_string(k_iterations) + "$" + base64(*salt) + "$" + base64(hash) + "\n";
}

}  // namespace

Registrar::Registrar(std::string state_dir, std::string auth_dir)
    : folder_(std::move(state_dir) + "/credentials"), password_file_(std::move(auth_dir) + "/agents.passwd") {}

Result<void> Registrar::ensure(const std::set<SutName>& suts) {
    if (auto made = sys::make_folders(folder_, 0700); !made) return made;
    for (const auto& sut : suts) {
        if (users_.contains(sut)) continue;
        const auto path = folder_ + "/" + sut.str();
        auto password = sys::read_file(path, 1024);
        if (!password || password->empty()) {
            const auto secret = random_bytes<24>();
            if (!secret) return fail(secret.error());
            password = base64(*secret);
            if (auto written = sys::write_file_atomic(path, *password, 0600, sys::Durability::durable); !written)
                return written;
        }
        auto line = password_line(sut.str(), *password);
        if (!line) return fail(line.error());
        users_[sut] = {*password, *std::move(line)};
    }
    return write_password_file();
}

Result<void> Registrar::forget(const SutName& sut) {
    users_.erase(sut);
    ::unlink((folder_ + "/" + sut.str()).c_str());
    return write_password_file();
}

std::string Registrar::credential(const SutName& sut) const {
    const auto found = users_.find(sut);
    return found == users_.end() ? std::string() : found->second.password;
}

Result<void> Registrar::write_password_file() {
    std::string text;
    for (const auto& [sut, user] : users_) text += user.line;
    if (text == written_ && !written_.empty()) return {};
    auto written = sys::write_file_atomic(password_file_, text, 0640, sys::Durability::durable);
    if (written) written_ = text;
    return written;
}

}  // namespace sutfleet
