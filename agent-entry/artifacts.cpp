#include "artifacts.hpp"

#include <fcntl.h>
#include <glob.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>

#include "folder_walk.hpp"
#include "sys/fd.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

namespace fs = std::filesystem;

/// Outside a job's folder, or made there by the agent.
constexpr std::array<std::string_view, 6> k_not_its_own{"..", "artifacts", "command", "job.json", "testflinger.json", "output.log"};

/// @return empty when it cannot be read whole
std::string sha256(const std::string& path, const std::function<bool()>& enough) {
    const sys::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    if (!fd || !context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1) return {};
    std::vector<char> buffer(256 * 1024);
    for (;;) {
        const auto got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got == 0) break;
        if (got < 0 || enough()) return {};
        if (EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(got)) != 1) return {};
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) return {};
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex += "0123456789abcdef"[digest[i] >> 4];
        hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
}

/// A link to the file itself: nothing is copied, and nothing outside the job's folder can be reached.
void take_artifact(const fs::path& root, const fs::path& file) {
    std::error_code error;
    const auto inside = fs::canonical(file, error).lexically_relative(root);
    if (error || inside.empty() || std::ranges::find(k_not_its_own, *inside.begin()) != k_not_its_own.end()) return;
    if (!fs::is_regular_file(fs::symlink_status(file, error))) return;
    const auto target = root / "artifacts" / inside;
    fs::create_directories(target.parent_path(), error);
    fs::create_hard_link(file, target, error);
    if (error && error != std::errc::file_exists)
        sys::log(sys::Level::warn, file.string() + " is not kept as an artifact: " + error.message());
}

}  // namespace

Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough) {
    std::vector<Artifact> all;
    walk_folder(folder, [&](const fs::path& path, const struct stat& info) {
        if (S_ISREG(info.st_mode))
            all.push_back({path.string().substr(folder.size() + 1), static_cast<std::uint64_t>(info.st_size), {}});
    });
    std::ranges::sort(all, {}, &Artifact::name);
    Artifacts out;
    std::size_t room = k_artifacts_shown;
    for (auto& one : all) {
        const auto size = shown_size(one);
        if (size > room) {
            ++out.more;
            continue;
        }
        room -= size;
        one.sha256 = sha256(folder + "/" + one.name, enough);
        out.list.push_back(std::move(one));
    }
    return out;
}

void collect_artifacts(const std::string& folder, const std::vector<std::string>& patterns) {
    std::error_code error;
    const auto root = fs::canonical(folder, error);
    if (error) return;
    for (const auto& pattern : patterns) {
        glob_t found{};
        if (::glob((root / pattern).c_str(), GLOB_NOSORT, nullptr, &found) == 0)
            for (std::size_t i = 0; i < found.gl_pathc; ++i) take_artifact(root, found.gl_pathv[i]);
        ::globfree(&found);
    }
}

}  // namespace sutfleet::agent
