#pragma once
// The jobs of all queues: the journal is the truth; in memory are those that have not ended, the newest that have, and an
// index of all ids that are remembered. Threads: `accept` runs on the MQTT library's thread, all else on the main thread;
// one lock covers both.

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "job/journal_compaction.hpp"
#include "pool/pool_job.hpp"

namespace sutfleet {

inline constexpr std::size_t k_pool_limit = 10'000;    ///< jobs that wait in one queue
inline constexpr std::size_t k_shown_pool_jobs = 100;  ///< ended ones
inline constexpr std::size_t k_pool_ids = 100'000;     ///< remembered, of ended jobs
inline constexpr std::uint64_t k_pool_compact_from = 16 * 1024 * 1024;  ///< bytes of the journal

class PoolBook {
  public:
    static Result<std::unique_ptr<PoolBook>> open(const std::string& path);

    enum class Verdict { accepted, known, rejected };
    struct Answer {
        Verdict verdict = Verdict::rejected;
        std::string queue;
        std::string why{};  ///< of a rejection
        std::optional<JobId> id{};
        std::size_t position = 0;  ///< of an accepted job
        std::string response_topic{}, correlation_data{};
    };
    /// Takes a submit: it is in the journal, synced, when this returns. A queue that no SUT serves takes nothing.
    void accept(const std::string& queue, std::string_view payload, bool retained, const std::string& response_topic,
                const std::string& correlation_data, WallTime now, const Submitter& submitter = {});
    /// Answers since the last call.
    std::vector<Answer> take_answers();
    /// Whether any SUT serves the queue.
    void serve(const std::string& queue, bool served);

    [[nodiscard]] std::optional<PoolJob> find(const JobId& id) const;
    /// Those that have not ended, in the order in which they are handed out.
    [[nodiscard]] std::vector<PoolJob> open_jobs() const;
    /// The newest that have, newest first.
    [[nodiscard]] std::vector<PoolJob> ended_jobs() const;
    /// The job's payload for a SUT: a JSON object with its id.
    [[nodiscard]] Result<std::string> payload(const JobId& id) const;
    /// Journals a change, durably; after a failure nothing has changed.
    Result<void> update(const PoolJob& job);
    /// What is measured, of every queue that ever had a job. Threads: any.
    struct Count {
        std::size_t waiting = 0, granted = 0;
        std::chrono::seconds oldest_wait{0};
    };
    struct Counts {
        std::map<std::string, Count> queues;
        std::map<std::string, std::uint64_t> ended;  ///< in this life, by result
    };
    [[nodiscard]] Counts counts(WallTime now) const;
    /// Grows with every change; never 0.
    [[nodiscard]] std::uint64_t revision() const;

  private:
    struct Known : JournalPlace {
        std::string content;
    };
    PoolBook() = default;
    Answer decide(const std::string& queue, std::string_view payload, bool retained, WallTime now, const Submitter& submitter);
    void remember(const PoolJob& job);
    void compact();
    [[nodiscard]] std::optional<PoolJob> look_up(const JobId& id) const;

    mutable std::mutex mutex_;
    std::unique_ptr<JobJournal> journal_;
    std::map<JobId, Known> known_;
    std::map<JobId, PoolJob> open_;
    std::deque<PoolJob> ended_;  ///< newest first
    std::set<std::string> served_, used_;
    std::map<std::string, std::uint64_t> ended_counts_;
    std::vector<Answer> answers_;
    std::uint64_t sequence_ = 0;
    std::uint64_t revision_ = 1;
    std::uint64_t compact_above_ = k_pool_compact_from;
};

}  // namespace sutfleet
