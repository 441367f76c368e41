#pragma once
// The folders `<state>/jobs/<id>/`: makes that of a job that starts, lists the artifacts of one that ends, and removes the
// oldest by the conf's limits. Most of that takes time and is done on a thread of its own, the next job's folder ahead of
// time. Threads: the owner's, and that one.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/result.hpp"
#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"
#include "folder_ledger.hpp"
#include "job/submit_request.hpp"
#include "job_record.hpp"
#include "sys/wake.hpp"

namespace sutfleet::agent {

class JobFolders {
  public:
    /// @param live jobs whose folders are not to be touched: those that wait, and those with a cleanup to come
    JobFolders(std::string folder, const JobRules& rules, std::set<JobId> live, const sys::Wake& owner);
    ~JobFolders();

    void set_rules(const JobRules& rules);
    /// Of a job that starts. What an earlier attempt has left there stays.
    Result<void> make(const JobId& id, const JobRequest& request) const;
    /// The one that was made ahead of time is taken.
    void make_next();
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
    void prepare_next() const;
    void measure_all();
    void remove_what_is_due(const std::stop_token& stop);
    [[nodiscard]] std::string path(const JobId& id) const { return folder_ + "/" + id.str(); }

    const std::string folder_;
    const sys::Wake& owner_;
    const std::set<JobId> live_at_start_;
    mutable std::mutex mutex_;  ///< guards all below
    std::condition_variable_any changed_;
    JobRules rules_;
    FolderLedger ended_;
    std::deque<JobFolder> to_measure_;
    struct ToList {
        JobId id;
        std::vector<std::string> patterns;
    };
    std::optional<ToList> to_list_;
    std::optional<Artifacts> listed_;
    bool measured_ = false;
    bool make_next_ = false;
    bool remove_now_ = false;
    std::jthread thread_;  ///< last: it uses all of the above
};

}  // namespace sutfleet::agent
