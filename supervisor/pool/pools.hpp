#pragma once
// The queues that several SUTs serve. A job is handed over in two steps, so that no death of anything can start it twice:
// it is offered, under a number that no other offer of it has; the agent journals that and says so; the grant is
// journalled here, and sent; the agent starts it only when the number is the one it has journalled. Until it is
// granted a job may go elsewhere; from then on it waits for that SUT's own word. Submits come over a session of their own,
// which the broker keeps while no supervisor is there. Threads: the main thread; see PoolBook for submits.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/topics.hpp"
#include "mqtt/board.hpp"
#include "mqtt/session.hpp"
#include "pool/last_word.hpp"
#include "pool/pool_book.hpp"
#include "pool/pool_plan.hpp"
#include "settings.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

class Pools {
  public:
    static Result<std::unique_ptr<Pools>> open(const std::string& journal, const Topics& topics);
    Pools(std::unique_ptr<PoolBook> book, Topics topics) : topics_(std::move(topics)), book_(std::move(book)) {}
    /// From the first call on submits are taken: no sooner than the SUTs are known.
    void listen(const Settings& settings, const sys::Wake& wake);

    /// What is to be subscribed for it, beside what it asks for itself.
    [[nodiscard]] static std::vector<mqtt::Subscription> subscriptions(const Topics& topics);
    /// What was retained on `fleet/queue/<queue>/status` or `…/job/<id>`, as long as that is subscribed.
    void hear_own(const std::string& topic, const std::string& payload);
    /// What a SUT has said, on `submit_status`, `agent`, `job/<id>` or `res/<verb>`.
    void hear(const SutName& sut, std::string_view level, const std::string& payload, SteadyTime now);
    /// The queues that a SUT serves, and why it cannot take a job as the supervisor sees it; nothing: it is gone.
    void set_sut(const SutName& sut, std::optional<PoolSut> fresh);

    /// Ends a job that waits; of one that was granted the SUT is told, and its word is what counts.
    /// @param argument `<queue> <job id>` @return what is done, in words
    Result<std::string> cancel(std::string_view argument, mqtt::Session& session, SteadyTime now);

    struct Granted {
        SutName sut;
        JobId id;
        unsigned number = 0;
    };
    [[nodiscard]] std::vector<Granted> granted() const;
    /// The SUT has no conf and no container any more, and this is what its journal says; an error is no word.
    void settle_gone(const SutName& sut, const JobId& id, unsigned number, const Result<LastWord>& word);

    [[nodiscard]] PoolBook& book() { return *book_; }
    void tick(mqtt::Session& session, mqtt::Board& board, SteadyTime now);
    [[nodiscard]] std::optional<SteadyTime> due() const { return due_; }

  private:
    /// What is known of a job only in this life.
    struct Touch {
        SteadyTime sent{};       ///< its newest offer or grant
        bool confirmed = false;  ///< the SUT has said that it has the grant
        bool watched = false;    ///< its record, over this connection
        std::string shown{};     ///< the SUT's own state of it
        std::string trouble{};   ///< why the journal of a SUT that is gone cannot be read
    };
    void hear_word(const SutName& sut, std::string_view verb, const std::string& payload, SteadyTime now);
    void hear_record(PoolJob job, const std::string& record);
    void answer(mqtt::Session& session);
    void expire();
    void offer(mqtt::Session& session, SteadyTime now);
    void ask_again(mqtt::Session& session, SteadyTime now);
    void send(mqtt::Session& session, const PoolJob& job, std::string_view verb, SteadyTime now);
    void send_cancel(mqtt::Session& session, const SutName& sut, const JobId& id);
    bool keep(const PoolJob& job);
    void forbid(const SutName& sut, PoolJob job, const std::string& why, SteadyTime now);
    void put_back(PoolJob job, const std::string& why);
    void refuse(const SutName& sut, const std::string& why, SteadyTime now);
    void end(PoolJob job, std::string result, std::string reason, std::optional<int> exit);
    void forget_ended(mqtt::Session& session);
    void show(mqtt::Board& board, SteadyTime now);
    void look_back(mqtt::Session& session, SteadyTime now);
    void serve(const SutName& sut, const std::set<std::string>& queues, bool served);
    void changed(const SutName& sut);
    void show_queue(const std::string& queue, const std::vector<PoolJob>& open, const std::vector<PoolJob>& ended, mqtt::Board& board, SteadyTime now);
    /// Of the SUTs that serve it, with what they say.
    [[nodiscard]] std::map<SutName, PoolSut> serving(const std::string& queue, SteadyTime now) const;
    [[nodiscard]] std::string topic_of(const PoolJob& job) const;
    [[nodiscard]] std::string why_down(const SutName& sut, const PoolSut& one) const;
    [[nodiscard]] std::string why_all_down(const std::string& queue) const;
    [[nodiscard]] std::string why_busy(const SutName& sut, const PoolSut& one, SteadyTime now) const;

    const Topics topics_;
    std::unique_ptr<PoolBook> book_;
    std::map<SutName, PoolSut> suts_;
    std::map<std::string, std::set<SutName>> serving_;  ///< by queue
    struct Said {
        std::string submit_status, agent;
        SteadyTime refused_until{};
        std::string refused{};
    };
    std::map<SutName, Said> said_;
    std::set<SutName> refusing_;  ///< until their `refused_until`
    std::map<JobId, Touch> touched_;
    std::map<JobId, std::map<SutName, SteadyTime>> forbidden_;  ///< by a SUT's submit policy, and until when that is believed
    std::map<std::string, std::string> last_answer_;  ///< by queue
    std::set<std::string> to_show_;                            ///< queues of which something may be different
    std::map<std::string, std::set<std::string>> shown_jobs_;  ///< topics on the broker, by queue
    std::set<std::string> left_;                               ///< topics of queues that were heard, by us or an earlier life
    bool looked_back_ = false;                                 ///< over one connection, for long enough
    std::uint64_t look_back_epoch_ = 0;
    SteadyTime look_back_until_{};
    std::uint64_t shown_revision_ = 0;
    SteadyTime show_at_{};
    std::uint64_t epoch_ = 0, used_ = 0;
    std::optional<SteadyTime> due_;
    std::unique_ptr<mqtt::Session> intake_;  ///< last: its thread uses the book
};

}  // namespace sutfleet
