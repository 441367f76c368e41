#include "job_folders.hpp"

#include <fcntl.h>
#include <glob.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <utility>

#include "sys/clock.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto k_look_again = 1h;
constexpr auto k_hash_limit = 20s;  ///< the next job waits for it
constexpr std::size_t k_files_looked_at = 10'000;
/// Outside a job's folder, or made there by the agent.
constexpr std::array<std::string_view, 6> k_not_its_own{"..", "artifacts", "command", "job.json", "testflinger.json", "output.log"};

/// Calls `visit(path, info)` for all below `folder`, itself included; a job may have left anything there.
template <class Visit>
void walk(const std::string& folder, Visit visit) {
    std::error_code error;
    fs::recursive_directory_iterator at(folder, fs::directory_options::skip_permission_denied, error);
    for (std::size_t seen = 0; !error && at != fs::recursive_directory_iterator() && seen < k_files_looked_at; ++seen) {
        struct stat info {};
        if (::lstat(at->path().c_str(), &info) == 0) visit(at->path(), info);
        at.increment(error);
    }
}

std::uint64_t bytes_on_disk(const std::string& folder) {
    std::uint64_t blocks = 0;
    walk(folder, [&](const fs::path&, const struct stat& info) { blocks += static_cast<std::uint64_t>(info.st_blocks); });
    return blocks * 512;
}

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

WallTime changed_at(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::seconds(info.st_mtim.tv_sec)));
}

}  // namespace

std::vector<JobFolder> folders_to_remove(std::vector<JobFolder> folders, const JobRules& rules, WallTime now) {
    std::ranges::sort(folders, {}, [](const JobFolder& one) { return std::pair(one.ended, one.id); });
    std::uint64_t left = 0;
    for (const auto& one : folders) left += one.bytes;
    std::size_t go = 0;
    for (; go < folders.size(); ++go) {
        const bool old = folders.size() - go > k_folders_kept && now - folders[go].ended > rules.keep;
        if (!old && std::cmp_less_equal(left, rules.max_bytes)) break;
        left -= folders[go].bytes;
    }
    folders.erase(folders.begin() + static_cast<std::ptrdiff_t>(go), folders.end());
    return folders;
}

Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough) {
    std::vector<Artifact> all;
    walk(folder, [&](const fs::path& path, const struct stat& info) {
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

JobFolders::JobFolders(std::string folder, const JobRules& rules, std::set<JobId> live, const sys::Wake& owner)
    : folder_(std::move(folder)), owner_(owner), live_at_start_(std::move(live)), rules_(rules) {
    thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

JobFolders::~JobFolders() { thread_.request_stop(); }

void JobFolders::set_rules(const JobRules& rules) {
    const std::scoped_lock lock(mutex_);
    if (rules == std::exchange(rules_, rules)) return;
    remove_now_ = true;
    changed_.notify_all();
}

void JobFolders::ended(const JobId& id, WallTime now) {
    const std::scoped_lock lock(mutex_);
    to_measure_.push_back({id, now, 0});
    changed_.notify_all();
}

bool JobFolders::has_artifacts(const JobId& id) const {
    std::error_code error;
    return !fs::is_empty(path(id) + "/artifacts", error) && !error;
}

void JobFolders::list(const JobId& id, std::vector<std::string> patterns) {
    const std::scoped_lock lock(mutex_);
    to_list_ = {id, std::move(patterns)};
    listed_.reset();
    changed_.notify_all();
}

std::optional<Artifacts> JobFolders::take_listed() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(listed_, std::nullopt);
}

std::optional<std::vector<JobFolder>> JobFolders::due(WallTime now) const {
    const std::scoped_lock lock(mutex_);
    if (!measured_) return std::nullopt;
    std::vector<JobFolder> all;
    for (const auto& [id, one] : folders_) all.push_back(one);
    return folders_to_remove(std::move(all), rules_, now);
}

void JobFolders::remove_due() {
    const std::scoped_lock lock(mutex_);
    remove_now_ = true;
    changed_.notify_all();
}

/// What earlier lives left.
void JobFolders::measure_all() {
    const auto names = sys::list_folder(folder_);
    if (!names) return;
    for (const auto& name : *names) {
        const auto id = JobId::parse(name);
        struct stat info {};
        if (!id || live_at_start_.contains(*id) || ::lstat(path(*id).c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) continue;
        const JobFolder found{*id, changed_at(path(*id)), bytes_on_disk(path(*id))};
        const std::scoped_lock lock(mutex_);
        folders_.try_emplace(*id, found);
    }
}

void JobFolders::remove_what_is_due() {
    const auto going = due(sys::wall_now());
    for (const auto& one : going.value_or(std::vector<JobFolder>{})) {
        std::error_code error;
        fs::remove_all(path(one.id), error);
        if (error)
            sys::log(sys::Level::warn, path(one.id) + " cannot be removed: " + error.message());
        else
            sys::log(sys::Level::info, "job=" + one.id.str() + " its folder was removed, by the conf's jobs.keep or jobs.max_bytes");
        const std::scoped_lock lock(mutex_);  // also when it failed: it would be tried again at every turn
        folders_.erase(one.id);
    }
}

void JobFolders::run(const std::stop_token& stop) {
    measure_all();
    std::unique_lock lock(mutex_);
    measured_ = remove_now_ = true;
    while (!stop.stop_requested()) {
        if (to_list_) {
            const auto wanted = *std::exchange(to_list_, std::nullopt);
            lock.unlock();
            collect_artifacts(path(wanted.id), wanted.patterns);
            const auto until = sys::steady_now() + k_hash_limit;
            auto listed = list_artifacts(path(wanted.id) + "/artifacts",
                                         [&] { return stop.stop_requested() || sys::steady_now() >= until; });
            lock.lock();
            listed_ = std::move(listed);
            owner_.notify();
        } else if (!to_measure_.empty()) {
            auto next = std::move(to_measure_.front());
            to_measure_.pop_front();
            lock.unlock();
            next.bytes = bytes_on_disk(path(next.id));
            lock.lock();
            folders_.insert_or_assign(next.id, next);
            remove_now_ = true;
        } else if (std::exchange(remove_now_, false)) {
            lock.unlock();
            remove_what_is_due();
            lock.lock();
        } else {
            const auto work = [this] { return to_list_ || !to_measure_.empty() || remove_now_; };
            if (!changed_.wait_for(lock, stop, k_look_again, work)) remove_now_ = true;
        }
    }
}

}  // namespace sutfleet::agent
