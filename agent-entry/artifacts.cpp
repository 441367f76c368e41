#include "artifacts.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "folder_walk.hpp"
#include "match/globs.hpp"
#include "sha256.hpp"
#include "sys/fd.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::string_view k_artifacts = "artifacts";
/// Made in a job's folder by the agent.
constexpr std::array<std::string_view, 5> k_not_its_own{k_artifacts, "command", "job.json", "testflinger.json", "output.log"};

/// A second name for the file itself: nothing is copied.
void take_artifact(int root, const WalkEntry& file) {
    const auto slash = file.path.rfind('/');
    const auto within = slash == std::string::npos ? std::string() : "/" + file.path.substr(0, slash);
    const auto target = make_folders_below(root, std::string(k_artifacts) + within);
    if (target && ::linkat(file.folder, file.name, target->get(), file.name, 0) == 0) return;
    const auto why = target ? errno_error(file.path, errno) : target.error();
    if (!target || errno != EEXIST) sys::log(sys::Level::warn, file.path + " is not kept as an artifact: " + why.message);
}

bool is_its_own(std::string_view path) {
    return std::ranges::find(k_not_its_own, path.substr(0, path.find('/'))) == k_not_its_own.end();
}

Result<sys::UniqueFd> open_artifacts(const std::string& folder) {
    const auto root = open_folder(folder);
    if (!root) return fail(root.error());
    return open_below(root->get(), std::string(k_artifacts), O_RDONLY | O_DIRECTORY);
}

}  // namespace

bool has_artifacts(const std::string& folder) {
    const auto top = open_artifacts(folder);
    bool any = false;
    if (top) walk_folder(top->get(), {}, [&](const WalkEntry&) { return !(any = true); });
    return any;
}

Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough) {
    const auto top = open_artifacts(folder);
    if (!top) return {};
    std::vector<Artifact> all;
    walk_folder(top->get(), {}, [&](const WalkEntry& entry) {
        if (S_ISREG(entry.info.st_mode)) all.push_back({entry.path, static_cast<std::uint64_t>(entry.info.st_size), {}});
        return true;
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
        if (const auto file = open_below(top->get(), one.name, O_RDONLY)) one.sha256 = sha256_of(file->get(), enough);
        out.list.push_back(std::move(one));
    }
    return out;
}

void collect_artifacts(const std::string& folder, const std::vector<std::string>& patterns) {
    const auto root = open_folder(folder);
    if (!root) return;
    for (const auto& text : patterns) {
        const Glob pattern(text);
        walk_folder(root->get(), {}, [&](const WalkEntry& entry) {
            if (S_ISREG(entry.info.st_mode) && is_its_own(entry.path) && pattern.matches(entry.path)) take_artifact(root->get(), entry);
            return true;
        });
    }
}

}  // namespace sutfleet::agent
