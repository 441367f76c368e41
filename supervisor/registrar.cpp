#include "registrar.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::size_t k_access_limit = 4 * 1024 * 1024;
constexpr std::string_view k_user = "user ";
constexpr std::string_view k_write = "topic write ";
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

Registrar::Registrar(std::string state_dir, const std::string& auth_dir)
    : folder_(std::move(state_dir) + "/credentials"), passwords_{auth_dir + "/agents.passwd"}, access_{auth_dir + "/agents.acl"} {}

Result<void> Registrar::ensure(const Topics& suts) {
    if (!std::exchange(recalled_, true)) recall_topics();
    if (auto made = sys::make_folders(folder_, 0700); !made) return made;
    for (const auto& [sut, topics] : suts) {
        for (const auto& topic : topics) unwritten_ = topics_[sut].insert(topic).second || unwritten_;
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
        unwritten_ = true;
    }
    return write_files();
}

Result<void> Registrar::forget(const SutName& sut) {
    users_.erase(sut);
    topics_.erase(sut);
    unwritten_ = true;
    ::unlink((folder_ + "/" + sut.str()).c_str());
    return write_files();
}

std::string Registrar::credential(const SutName& sut) const {
    const auto found = users_.find(sut);
    return found == users_.end() ? std::string() : found->second.password;
}

Result<void> Registrar::AuthFile::write(const std::string& text) {
    if (written == text) return {};
    auto done = sys::write_file_atomic(path, text, 0640, sys::Durability::durable);
    if (done) written = text;
    return done;
}

Result<void> Registrar::write_files() {
    if (!unwritten_) return {};
    std::string users, rights;
    for (const auto& [sut, user] : users_) users += user.line;
    for (const auto& [sut, topics] : topics_) {
        rights += "user " + sut.str() + "\n";
        for (const auto& topic : topics) rights += "topic write " + topic + "\n";
    }
    // The right before the user who needs it.
    if (auto done = access_.write(rights); !done) return done;
    if (auto done = passwords_.write(users); !done) return done;
    unwritten_ = false;
    return {};
}

void Registrar::recall_topics() {
    const auto text = sys::read_file(access_.path, k_access_limit).value_or("");
    auto sut = SutName::parse("");
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = std::string_view(text).substr(at, end - at);
        at = end + 1;
        if (line.starts_with(k_user)) sut = SutName::parse(line.substr(k_user.size()));
        if (line.starts_with(k_write) && sut) topics_[*sut].emplace(line.substr(k_write.size()));
    }
}

}  // namespace sutfleet
