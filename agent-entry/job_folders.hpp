#pragma once
// What ended jobs left on disk: lists the artifacts of one that ends, and removes the oldest folders by the conf's
// limits. Measuring, hashing and removing take time: they are done on a thread of its own.

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"
#include "job_record.hpp"
#include "sys/wake.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_folders_kept = 20;  ///< of the newest, whatever their age: a clock may jump

struct JobFolder {
    JobId id;
    WallTime ended{};
    std::uint64_t bytes = 0;  ///< on disk
    bool operator==(const JobFolder&) const = default;
};

/// Which of them have to go, oldest first. Pure.
[[nodiscard]] std::vector<JobFolder> folders_to_remove(std::vector<JobFolder> folders, const JobRules& rules, WallTime now);

/// The regular files under `folder`, sorted; links are not followed. What is not hashed when `enough` says so stays
/// without a hash.
[[nodiscard]] Artifacts list_artifacts(const std::string& folder, const std::function<bool()>& enough);

/// Links the regular files of `folder` that a pattern matches into its artifacts/. What leaves the folder is left out.
void collect_artifacts(const std::string& folder, const std::vector<std::string>& patterns);

class JobFolders {
  public:
    /// @param live jobs whose folders are not to be touched: those that wait, and those with a cleanup to come
    JobFolders(std::string folder, const JobRules& rules, std::set<JobId> live, const sys::Wake& owner);
    ~JobFolders();

    void set_rules(const JobRules& rules);
    /// Its folder counts from now on.
    void ended(const JobId& id, WallTime now);

    /// Whether there is anything in artifacts/ yet; cheap.
    [[nodiscard]] bool has_artifacts(const JobId& id) const;
    /// Takes the files that match into artifacts/ and lists all that is there; the owner is notified when the list can
    /// be taken.
    void list(const JobId& id, std::vector<std::string> patterns);
    std::optional<Artifacts> take_listed();

    /// What the limits would remove now; none while the folders are still being measured.
    [[nodiscard]] std::optional<std::vector<JobFolder>> due(WallTime now) const;
    /// Removes what is due, now and not only once an hour.
    void remove_due();

  private:
    void run(const std::stop_token& stop);
    void measure_all();
    void remove_what_is_due();
    [[nodiscard]] std::string path(const JobId& id) const { return folder_ + "/" + id.str(); }

    const std::string folder_;
    const sys::Wake& owner_;
    const std::set<JobId> live_at_start_;
    mutable std::mutex mutex_;  ///< guards all below
    std::condition_variable_any changed_;
    JobRules rules_;
    std::map<JobId, JobFolder> folders_;
    std::deque<JobFolder> to_measure_;
    struct ToList {
        JobId id;
        std::vector<std::string> patterns;
    };
    std::optional<ToList> to_list_;
    std::optional<Artifacts> listed_;
    bool measured_ = false;
    bool remove_now_ = false;
    std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace sutfleet::agent
