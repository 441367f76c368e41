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
#include "pool/pool_book.hpp"
#include "pool/pool_plan.hpp"
#include "settings.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

class Pools {
  public:
    static Result<std::unique_ptr<Pools>> open(const Settings& settings, const Topics& topics, const sys::Wake& wake);
    /// Without a session for submits.
    Pools(std::unique_ptr<PoolBook> book, Topics topics) : topics_(std::move(topics)), book_(std::move(book)) {}

    /// What is to be subscribed for it, beside what it asks for itself.
    [[nodiscard]] static std::vector<mqtt::Subscription> subscriptions(const Topics& topics);
    /// What a SUT has said, on `submit_status`, `agent`, `job/<id>` or `res/<verb>`.
    void hear(const SutName& sut, std::string_view level, const std::string& payload, SteadyTime now);
    /// Which SUTs there are, the queues that they serve, and why the supervisor thinks one cannot take a job.
    void set_suts(const std::map<SutName, PoolSut>& suts);
    /// A SUT whose container and journal are gone for good. @param why for the records of its jobs, which are LOST
    void lose(const SutName& sut, const std::string& why);

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
    };
    void hear_word(const SutName& sut, std::string_view verb, const std::string& payload, SteadyTime now);
    void hear_record(PoolJob job, const std::string& record);
    void answer(mqtt::Session& session);
    void expire();
    void offer(mqtt::Session& session, SteadyTime now);
    void ask_again(mqtt::Session& session, SteadyTime now);
    void send(mqtt::Session& session, const PoolJob& job, std::string_view verb, SteadyTime now);
    bool keep(const PoolJob& job);
    void put_back(PoolJob job, const std::string& why);
    void end(PoolJob job, std::string result, std::string reason, std::optional<int> exit);
    void forget_ended(mqtt::Session& session);
    void show(mqtt::Board& board, SteadyTime now);
    [[nodiscard]] bool is_shared(const std::string& queue, const std::map<SutName, PoolSut>& serving) const;
    [[nodiscard]] std::map<SutName, PoolSut> suts_now(SteadyTime now) const;
    [[nodiscard]] std::string why_busy(const SutName& sut, const PoolSut& one, SteadyTime now) const;

    const Topics topics_;
    std::unique_ptr<PoolBook> book_;
    std::map<SutName, PoolSut> suts_;
    struct Said {
        std::string submit_status, agent;
        SteadyTime refused_until{};
        std::string refused{};
    };
    std::map<SutName, Said> said_;
    std::map<JobId, Touch> touched_;
    std::map<std::string, std::string> last_answer_;  ///< by queue
    std::map<std::string, std::string> shown_;        ///< topics of ours on the broker, and what was put there
    bool changed_ = true;  ///< something that is shown
    std::uint64_t shown_revision_ = 0;
    SteadyTime show_at_{};
    std::uint64_t epoch_ = 0, used_ = 0;
    std::optional<SteadyTime> due_;
    std::unique_ptr<mqtt::Session> intake_;  ///< last: its thread uses the book
};

}  // namespace sutfleet
