#pragma once
// The agent's jobs: the journal `<state>/jobs.journal` is the truth, and of it are in memory the jobs that wait or
// run, the newest that ended, and an index of all ids that are remembered. A job is in the journal, synced, before
// `accept` returns; its folder is JobFolders'. Threads: `accept` runs on the MQTT
// library's thread, all else on the main thread; one lock covers both, but for `take_coming`, which never waits for a sync.

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "job/journal_compaction.hpp"
#include "job/submit_request.hpp"
#include "job_record.hpp"
#include "policy/submit_policy.hpp"
#include "repeats.hpp"
#include "withdrawals.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_queue_limit = 100;
inline constexpr std::size_t k_shown_jobs = 20;  ///< records kept on the broker
inline constexpr std::size_t k_hidden_jobs = 2 * k_queue_limit;
inline constexpr std::size_t k_ids_remembered = 100'000;
inline constexpr std::uint64_t k_compact_from = 4 * 1024 * 1024;  ///< a smaller journal is left as it is
inline constexpr std::chrono::days k_ids_remembered_for{30};  ///< beyond the life of the job's folder
inline constexpr std::chrono::minutes k_offer_life{10};  ///< without a grant

class JobBook {
  public:
    /// Reads what an earlier life left. A job that was running then is LOST now.
    /// @param folders_kept for how long after a job's end, by the conf
    static Result<std::unique_ptr<JobBook>> open(const std::string& state_folder, const SutName& sut, WallTime now,
                                                 std::chrono::milliseconds folders_kept = JobRules{}.keep);

    enum class Verdict { accepted, known, rejected };
    /// Where an MQTT 5 requester wants its answer (MQTT 5, 4.10); an empty topic: nowhere.
    struct ReplyTo {
        std::string topic;
        std::string correlation_data;
    };
    struct Answer {
        Verdict verdict;
        std::string why;           ///< of a rejection
        std::optional<JobId> id;   ///< of the job, when there is one
        std::size_t position = 0;  ///< of an accepted job
        ReplyTo reply_to{};
    };
    /// Takes a submit. `refuse_all`: why nothing is taken now (maintenance, draining); empty otherwise.
    Answer accept(std::string_view payload, bool retained, WallTime now, ReplyTo reply_to = {}, const Arrival& arrival = {});
    /// Whether a job waits for `settle_repeats`.
    [[nodiscard]] bool has_possible_repeats() const;
    /// The broker's answer to how long it has run (see repeats.hpp); none: it gave none.
    void settle_repeats(std::optional<std::chrono::seconds> broker_uptime, WallTime now);
    void refuse_all(std::string why);
    /// What the conf lets be submitted, for what comes from now on; what waits is asked again when it starts.
    void set_policy(const SubmitPolicy& policy);
    void set_folders_kept(std::chrono::milliseconds kept);

    /// What becomes of a job from a queue for several SUTs, in this one's own word; it is journalled when it is given, and
    /// it is not taken back. Without a journal there is no word.
    struct HandoverAnswer {
        /// `known`: it is this SUT's own already, whatever its state; `unknown`: the journal has nothing of it;
        /// `forbidden`: it can never run here, by the conf's submit policy or by what it is.
        enum class Word { offered, granted, withdrawn, known, refused, unknown, forbidden } word;
        std::string why{};  ///< it is refused
        std::optional<JobRecord> record{};
    };
    /// @param may_start whether a job that is granted now would start at once; one that is here already is known all the same
    Result<HandoverAnswer> offer(const std::string& queue, unsigned number, const std::string& payload, bool may_start, WallTime now,
                                 const Submitter& submitter = {});
    /// @param cancel it has been canceled meanwhile: what has not started ends
    Result<HandoverAnswer> grant(const JobId& id, unsigned number, bool cancel, WallTime now);
    /// No grant of this number or a lower one counts any more.
    Result<HandoverAnswer> withdraw(const JobId& id, unsigned number);

    /// Answers since the last call, for the main thread to publish.
    std::vector<Answer> take_answers();

    [[nodiscard]] std::optional<JobRecord> find(const JobId& id) const;
    /// The job that was started last, as far as it is among those in memory.
    [[nodiscard]] std::optional<JobRecord> last_started() const;
    /// The next job in order; it stays queued until `update` says that it runs.
    [[nodiscard]] std::optional<JobRecord> next(WallTime now) const;
    /// Ends the jobs that have waited longer than they or `longest_wait` allow.
    void expire(std::optional<std::chrono::milliseconds> longest_wait, WallTime now);
    [[nodiscard]] std::vector<JobRecord> queued() const;
    [[nodiscard]] std::size_t queued_count() const;
    /// The newest terminal records, newest first, at most k_shown_jobs.
    [[nodiscard]] std::vector<JobRecord> done() const;
    /// Ended jobs that `done` does not show any more, newest first: as many as may have ended while the broker was away.
    [[nodiscard]] std::vector<JobId> hidden() const;
    /// Grows with every change of any record; never 0.
    [[nodiscard]] std::uint64_t revision() const { return revision_; }
    /// Jobs that were cut off, in this life or an earlier one, and not cleaned up after yet; the oldest first.
    [[nodiscard]] std::vector<JobRecord> unclean() const;

    /// Journals a change (version + 1); what the journal cannot take is still true in memory, and `settle` tries again.
    /// @param sync later: one sync for an end and the start that follows it. Nobody may hear of it before `settle`.
    Result<JobRecord> update(JobRecord record, JobJournal::Sync sync = JobJournal::Sync::now);
    /// All that was journalled is durable when it returns.
    Result<void> settle();
    Result<JobRequest> request(const JobId& id) const;
    /// Whether a job that comes now would start at once. Then it is journalled as running, in its first entry: a start
    /// costs one sync, not two. Such a job is the next `granted`.
    void set_idle(bool idle);
    [[nodiscard]] std::optional<JobRecord> take_granted();
    /// Such a job while it is being journalled, and `told` is called on the thread of `accept`: what it needs can be made
    /// meanwhile. It counts for nothing until it is granted.
    void tell_of_coming(std::function<void()> told) { told_of_coming_ = std::move(told); }
    [[nodiscard]] std::optional<std::pair<JobId, JobRequest>> take_coming();
    [[nodiscard]] std::string folder(const JobId& id) const;
    [[nodiscard]] const std::string& folder() const { return folder_; }  ///< that all of theirs are in

  private:
    /// What is remembered of any job.
    struct Known : JournalPlace {
        std::uint64_t content = 0;  ///< digest of what was asked for
    };
    JobBook(std::string folder, SutName sut, std::chrono::milliseconds folders_kept)
        : folder_(std::move(folder)), sut_(std::move(sut)), folders_kept_(folders_kept) {}
    Answer decide(std::string_view payload, bool retained, WallTime now, const Arrival& arrival);
    Result<JobRecord> journal(const JobRequest& request, std::string_view payload, const JobId& id, WallTime now,
                              const Arrival& arrival, const Repeats::Verdict& repeat);
    [[nodiscard]] Answer known_answer(const JobId& id) const;
    [[nodiscard]] std::string why_no_offer(bool may_start) const;
    Result<HandoverAnswer> journal_offer(JobRecord record, const JobRequest& request, const std::string& payload, Handover handover);
    Result<void> settle_repeat(JobRecord record, bool repeat, WallTime now);
    Result<void> load(WallTime now);
    void replay(std::uint64_t offset, const JournalEntry& entry);
    void note_for_repeats(const JobRecord& record, bool accepted);
    void lose_running(const std::vector<Withdrawal>& withdrawn, WallTime now);
    void heed(const Withdrawal& withdrawal, WallTime now);
    void compact(WallTime now);
    Result<JobRecord> write(JobRecord record, JobJournal::Sync sync = JobJournal::Sync::now);
    Result<JobRecord> promise(JobRecord record, const std::string& payload = {});
    void remember(const JobRecord& record);
    [[nodiscard]] Result<JobRequest> read_request(const JobId& id) const;
    [[nodiscard]] std::optional<JobRecord> look_up(const JobId& id) const;
    [[nodiscard]] std::size_t waiting() const;

    const std::string folder_;
    const SutName sut_;
    mutable std::mutex mutex_;
    std::unique_ptr<JobJournal> journal_;
    std::map<JobId, Known> known_;
    std::map<JobId, JobRecord> live_;  ///< queued or running
    std::deque<JobRecord> done_;       ///< newest first
    std::deque<JobId> hidden_;         ///< at most k_hidden_jobs
    std::set<JobId> unclean_;          ///< their cleanup is due
    std::map<JobId, JobRecord> unwritten_;  ///< that the journal could not take
    std::vector<Answer> answers_;
    std::string refuse_all_;
    SubmitPolicy policy_;
    std::chrono::milliseconds folders_kept_;
    Repeats repeats_;
    bool idle_ = false;
    std::optional<JobId> granted_;
    std::function<void()> told_of_coming_;
    std::mutex coming_mutex_;  ///< guards coming_
    std::optional<std::pair<JobId, JobRequest>> coming_;
    std::optional<std::pair<JobId, JobRequest>> newest_;  ///< what came last, most often what starts next
    std::uint64_t sequence_ = 0;
    std::atomic<std::uint64_t> revision_{1};
    std::uint64_t compact_above_ = k_compact_from;  ///< bytes of the journal
};

}  // namespace sutfleet::agent
