#include "artifacts.hpp"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "folder_walk.hpp"
#include "sha256.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

namespace fs = std::filesystem;

/// Outside a job's folder, or made there by the agent.
constexpr std::array<std::string_view, 6> k_not_its_own{"..", "artifacts", "command", "job.json", "testflinger.json", "output.log"};

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
        one.sha256 = sha256_of_file(folder + "/" + one.name, enough);
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
