#include "job_folders.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "artifacts.hpp"
#include "folder_walk.hpp"
#include "job_place.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto k_look_again = 1h;
constexpr const char* k_next = "/.next";      ///< prepared for whichever job starts next
constexpr const char* k_draft = "/.preparing";
constexpr auto k_hash_limit = 20s;  ///< the next job waits for it

constexpr WalkLimits k_measured{1'000'000, 64, 64 * 1024};
/// A job that hides what it leaves gains nothing by it: such a folder counts as full, and goes as soon as it may.
constexpr auto k_unmeasured = std::uint64_t{1} << 50;

std::uint64_t bytes_on_disk(const std::string& folder) {
    const auto top = open_folder(folder);
    if (!top) return 0;
    std::uint64_t blocks = 0;
    const bool all = walk_folder(top->get(), k_measured, [&](const WalkEntry& entry) {
        blocks += static_cast<std::uint64_t>(entry.info.st_blocks);
        return true;
    });
    return all ? blocks * 512 : k_unmeasured;
}

WallTime changed_at(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return {};
    return WallTime(std::chrono::duration_cast<WallTime::duration>(std::chrono::seconds(info.st_mtim.tv_sec)));
}

}  // namespace

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

Result<void> JobFolders::make(const JobId& id, const JobRequest& request) const {
    const auto place = path(id);
    if (std::rename((folder_ + k_next).c_str(), place.c_str()) != 0 || !open_folder(place))
        if (auto made = prepare_job_place(place); !made) return made;
    sys::crash_point("folder: made");
    return fill_job_place(place, id, request);
}

void JobFolders::make_next() {
    const std::scoped_lock lock(mutex_);
    make_next_ = true;
    changed_.notify_all();
}

/// A failure shows when the next job starts.
void JobFolders::prepare_next() const {
    if (prepare_job_place(folder_ + k_draft)) std::rename((folder_ + k_draft).c_str(), (folder_ + k_next).c_str());
}

void JobFolders::ended(const JobId& id, WallTime now) {
    const std::scoped_lock lock(mutex_);
    to_measure_.push_back({id, now, 0});
    changed_.notify_all();
}

bool JobFolders::has_artifacts(const JobId& id) const {
    return agent::has_artifacts(path(id));
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
    return ended_.due(rules_, now);
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
        if (!ended_.contains(*id)) ended_.put(found);
    }
}

void JobFolders::remove_what_is_due(const std::stop_token& stop) {
    const auto going = due(sys::wall_now());
    for (const auto& one : going.value_or(std::vector<JobFolder>{})) {
        const auto removed = remove_folder(path(one.id), [&] { return !stop.stop_requested(); });
        if (stop.stop_requested()) return;
        if (!removed)
            sys::log(sys::Level::warn, path(one.id) + " cannot be removed: " + removed.error().message);
        else
            sys::log(sys::Level::info, "job=" + one.id.str() + " its folder was removed, by the conf's jobs.keep or jobs.max_bytes");
        const std::scoped_lock lock(mutex_);  // also when it failed: it would be tried again at every turn
        ended_.erase(one.id);
    }
}

void JobFolders::run(const std::stop_token& stop) {
    prepare_next();
    measure_all();
    std::unique_lock lock(mutex_);
    measured_ = remove_now_ = true;
    while (!stop.stop_requested()) {
        if (std::exchange(make_next_, false)) {
            lock.unlock();
            prepare_next();
            lock.lock();
        } else if (to_list_) {
            const auto wanted = *std::exchange(to_list_, std::nullopt);
            lock.unlock();
            collect_artifacts(path(wanted.id), wanted.patterns);
            const auto until = sys::steady_now() + k_hash_limit;
            auto listed = list_artifacts(path(wanted.id),
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
            ended_.put(next);
            remove_now_ = true;
        } else if (std::exchange(remove_now_, false)) {
            lock.unlock();
            remove_what_is_due(stop);
            lock.lock();
        } else {
            const auto work = [this] { return make_next_ || to_list_ || !to_measure_.empty() || remove_now_; };
            if (!changed_.wait_for(lock, stop, k_look_again, work)) remove_now_ = true;
        }
    }
}

}  // namespace sutfleet::agent
