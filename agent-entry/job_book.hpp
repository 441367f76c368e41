#pragma once
// The agent's jobs on disk and in memory: each job is a folder `<state>/jobs/<id>/` with the request (job.json,
// testflinger.json), the record (record.json), output.log and artifacts/. A job is on disk, fsynced, before
// `accept` returns. Threads: `accept` runs on the MQTT library's thread, all else on the main thread; one
// lock covers both.

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "job_record.hpp"
#include "submit_request.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_queue_limit = 100;
inline constexpr std::size_t k_shown_jobs = 20;  ///< records kept on the broker

class JobBook {
  public:
    /// Reads what an earlier life left. A job that was running then is LOST now.
    static Result<std::unique_ptr<JobBook>> open(const std::string& state_folder, const SutName& sut,
                                                 const std::string& now);

    enum class Verdict { accepted, known, rejected };
    struct Answer {
        Verdict verdict;
        std::string why;           ///< of a rejection
        std::optional<JobId> id;   ///< of the job, when there is one
        std::size_t position = 0;  ///< of an accepted job
    };
    /// Takes a submit. `refuse_all`: why nothing is taken now (maintenance, draining); empty otherwise.
    Answer accept(std::string_view payload, bool retained, WallTime now);
    void refuse_all(std::string why);

    /// Answers since the last call, for the main thread to publish.
    std::vector<Answer> take_answers();

    [[nodiscard]] std::optional<JobRecord> find(const JobId& id) const;
    /// The next job in order; it stays queued until `update` says that it runs.
    [[nodiscard]] std::optional<JobRecord> next() const;
    [[nodiscard]] std::vector<JobRecord> queued() const;
    /// The newest terminal records, newest first, at most k_shown_jobs.
    [[nodiscard]] std::vector<JobRecord> done() const;
    /// Jobs found running at the start: their cleanup is still to be done.
    [[nodiscard]] std::vector<JobRecord> lost_at_start() const { return lost_; }

    /// Journals a change (version + 1), durably.
    Result<JobRecord> update(JobRecord record);
    Result<JobRequest> request(const JobId& id) const;
    [[nodiscard]] std::string folder(const JobId& id) const;

  private:
    JobBook(std::string folder, SutName sut) : folder_(std::move(folder)), sut_(std::move(sut)) {}
    Answer decide(std::string_view payload, bool retained, WallTime now);
    Result<JobRecord> journal(const JobRequest& request, const JobId& id, WallTime now);
    Result<void> load(const std::string& now);
    JobId make_id(WallTime now);
    [[nodiscard]] std::size_t waiting() const;

    const std::string folder_;
    const SutName sut_;
    mutable std::mutex mutex_;
    std::map<JobId, JobRecord> records_;
    std::vector<Answer> answers_;
    std::vector<JobRecord> lost_;
    std::string refuse_all_;
    std::uint64_t sequence_ = 0;
};

}  // namespace sutfleet::agent
