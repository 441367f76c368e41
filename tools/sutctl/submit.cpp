#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "job_source.hpp"
#include "job_view.hpp"
#include "output_printer.hpp"
#include "mqtt/submitter.hpp"
#include "submission.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_repeat = 3s;         ///< between two sendings while there is no word of the agent
constexpr auto k_accept_limit = 5s;   ///< for a first word of an agent that is up
constexpr auto k_return_limit = 30s;  ///< the same, when broker or agent are just back, or the agent may be soon
constexpr auto k_away_limit = 60s;    ///< for the broker's return
constexpr auto k_record_limit =
    1s;  ///< most rejections name no job: such a one is ours when no record follows
constexpr auto k_output_limit = 3s;  ///< for the last output after the record's end
constexpr auto k_never = SteadyTime::max();

/// A refusal of whatever comes, as opposed to one of the last job.
bool is_standing(const std::string& status) {
    for (const auto* why : {"rejected: parked", "rejected: draining", "rejected: maintenance",
                            "rejected: quarantined"})
        if (status.starts_with(why)) return true;
    return false;
}

/// One submit from its message to its end. A broker that is killed forgets what it has
/// acknowledged: so the message is sent until the agent itself gives word of the job. Its id makes
/// that harmless: a repeat starts nothing, and the agent shows the record again.
class Submit {
  public:
    Submit(const Context& context, SutName sut, Submission submission)
        : context_(context),
          sut_(std::move(sut)),
          submission_(std::move(submission)),
          record_topic_(context.topics.job(sut_, submission_.id)),
          printer_(context.screen, context.options.json, submission_.id) {}

    Outcome<int> run() {
        auto link = Link::open(context_.connection, subscriptions(), context_.signals);
        if (!link) return tl::make_unexpected(link.error());
        link_ = *std::move(link);
        if (auto fit = look_first(); !fit) return tl::make_unexpected(fit.error());
        answer_by_ = Clock::now() + word_limit();
        if (context_.options.wait)
            return wait_for([this] { return finished(); }, &Submit::tell_end);
        return wait_for([this] { return has_word(); }, &Submit::tell_taken);
    }

  private:
    [[nodiscard]] std::vector<mqtt::Subscription> subscriptions() const {
        const auto& topics = context_.topics;
        return {{record_topic_, 1, true},
                {topics.of(sut_, k_output), 1, false},
                {topics.of(sut_, k_agent), 1, true},
                {topics.of(sut_, k_submit_status), 1, true},
                {topics.fleet_sut(sut_.str()), 1, true}};
    }

    /// Is there such a SUT, and is it up? All that is retained has been heard after this.
    Outcome<> look_first() {
        bool known = false;
        for (auto heard = link_->next(Clock::now() + 5s); heard.kind != Heard::Kind::settled;
             heard = link_->next(Clock::now() + 5s)) {
            if (heard.kind == Heard::Kind::interrupted)
                return tl::make_unexpected(Failure{k_interrupted, ""});
            if (heard.kind == Heard::Kind::timeout) break;
            // What a broker knew that went away in between cannot be seen now.
            known = known || heard.kind == Heard::Kind::lost || !heard.message.payload.empty();
            if (heard.message.topic == record_topic_) earlier_ = heard.message.payload;
            note(heard);
        }
        if (!known)
            return tl::make_unexpected(Failure{
                k_refused, "no SUT '" + sut_.str() + "' is known here: `sutctl ps` lists them"});
        if (is_standing(rejection_))
            return tl::make_unexpected(Failure{k_refused, sut_.str() + " " + rejection_});
        rejection_.clear();  // of somebody else's job
        if (offline_) tell_offline();
        return {};
    }

    void tell_offline() const {
        context_.screen.say(sut_.str() +
                            " is offline: the job waits in the broker until it is back");
    }

    void note(const Heard& heard) {
        if (heard.kind == Heard::Kind::message && !heard.message.payload.empty())
            hear(heard.message);
        if (heard.kind == Heard::Kind::lost) hear_lost();
        if (heard.kind == Heard::Kind::back) hear_back();
    }

    void hear_lost() {
        context_.screen.say(
            has_word() ? "the broker is away; the job goes on, waiting for the broker"
                       : "the broker is away; job " + submission_.id + " is sent when it is back");
        away_since_ = Clock::now();
        held_ = false;
    }

    /// Perhaps with nothing of what it had: no session of the agent, no message of ours.
    void hear_back() {
        away_since_.reset();
        held_ = false;
        rejection_.clear();
        send_at_ = Clock::now();
        answer_by_ = send_at_ + k_return_limit;
    }

    void hear(const mqtt::Message& message) {
        const auto& topics = context_.topics;
        if (message.topic == record_topic_) {
            hear_record(message.payload);
        } else if (message.topic == topics.of(sut_, k_output)) {
            if (printer_.is_of_job(message)) printer_.print(message), quiet_since_ = Clock::now();
        } else if (message.topic == topics.of(sut_, k_agent)) {
            hear_agent(message.payload);
        } else if (message.topic == topics.of(sut_, k_submit_status)) {
            hear_status(message.payload);
        }
    }

    void hear_agent(const std::string& health) {
        const bool was_offline = std::exchange(offline_, health == k_offline);
        if (was_offline != offline_) answer_by_ = Clock::now() + k_return_limit;
        if (!was_offline && left_with_broker() && !has_word()) tell_offline();
    }

    void hear_status(const std::string& status) {
        if (held_ && status.starts_with("accepted " + submission_.id + ":")) {
            accepted_ = true;
            rejection_.clear();
            if (earlier_) hear_record(*std::exchange(earlier_, std::nullopt));
        }
        if (!status.starts_with("rejected: ") || has_word()) return;
        rejection_ = printable(status);
        const bool names_us = status == "rejected: id used: " + submission_.id;
        answer_by_ = names_us ? Clock::now() : Clock::now() + k_record_limit;
    }

    void hear_record(const std::string& payload) {
        if (earlier_) {  // only the agent knows whether that is the same job
            earlier_ = payload;
            return;
        }
        auto view = parse_job(payload);
        if (!view) return;
        if (context_.options.wait && (!record_ || record_->state != view->state)) tell_state(*view);
        record_ = std::move(view);
        record_json_ = payload;
        rejection_.clear();
        quiet_since_ = Clock::now();
    }

    void tell_state(const JobView& view) const {
        if (view.state == "QUEUED" && view.position > 0)
            context_.screen.say("job " + submission_.id + " waits, position " +
                                std::to_string(view.position));
        if (view.state == "RUNNING")
            context_.screen.say("job " + submission_.id + " runs on " + sut_.str());
    }

    /// Ended, and its output has come, which travels on a topic of its own.
    [[nodiscard]] bool finished() const {
        return record_ && record_->ended() &&
               (printer_.complete(record_->log_bytes) ||
                Clock::now() >= quiet_since_ + k_output_limit);
    }

    /// The agent has told of the job.
    [[nodiscard]] bool has_word() const { return record_ || accepted_; }
    /// There is no agent to give word now; the broker keeps the message for it.
    [[nodiscard]] bool left_with_broker() const { return held_ && offline_ && rejection_.empty(); }

    /// Nothing new to an agent that is offline: each copy would wait for it in the broker.
    [[nodiscard]] SteadyTime next_send() const {
        const bool idle = has_word() || away_since_ || !rejection_.empty() || left_with_broker();
        return idle ? k_never : send_at_;
    }

    [[nodiscard]] std::chrono::seconds word_limit() const { return offline_ ? k_return_limit : k_accept_limit; }

    /// When there is nothing more to hope for.
    [[nodiscard]] SteadyTime limit() const {
        if (has_word()) return k_never;
        if (!rejection_.empty()) return answer_by_;
        if (context_.options.wait && (away_since_ || offline_)) return k_never;
        return away_since_ ? *away_since_ + k_away_limit : answer_by_;
    }

    [[nodiscard]] SteadyTime next_look() const {
        if (record_ && record_->ended()) return quiet_since_ + k_output_limit;
        return std::min(limit(), next_send());
    }

    Outcome<> send() {
        const auto sent = link_->publish(context_.topics.of(sut_, k_submit), submission_.payload, {},
                                         {{mqtt::k_submitted_by, submitter()}});
        if (!sent) return tl::make_unexpected(sent.error());
        send_at_ = Clock::now() + k_repeat;
        if (*sent && !std::exchange(held_, true))
            answer_by_ = std::max(answer_by_, Clock::now() + word_limit());
        return {};
    }

    template <class Done>
    Outcome<int> wait_for(const Done& done, Outcome<int> (Submit::*tell)()) {
        while (!done()) {
            if (Clock::now() >= next_send()) {
                if (auto sent = send(); !sent) return tl::make_unexpected(sent.error());
                continue;
            }
            const auto heard = link_->next(next_look());
            if (heard.kind == Heard::Kind::interrupted) return tell_interrupted();
            note(heard);
            if (heard.kind == Heard::Kind::timeout && Clock::now() >= limit())
                return tell_no_answer();
        }
        return (this->*tell)();
    }

    Outcome<int> tell_no_answer() {
        if (!rejection_.empty())
            return tl::make_unexpected(Failure{k_refused, sut_.str() + " " + rejection_});
        if (left_with_broker()) {
            print_id("sent");
            return tl::make_unexpected(
                Failure{k_timed_out, sut_.str() + " is offline and gave no answer in time; the broker keeps job " +
                                         submission_.id + " for it, and has the only copy"});
        }
        if (away_since_)
            return tl::make_unexpected(
                Failure{k_unreachable, "the broker stays away: whether " + sut_.str() +
                                           " has job " + submission_.id + " is not known"});
        return tl::make_unexpected(
            Failure{k_timed_out,
                    sut_.str() + " gave no answer in time; the broker has job " + submission_.id});
    }

    Outcome<int> tell_interrupted() const {
        context_.screen.say("job " + submission_.id + (has_word() ? " goes on" : " may still run") +
                            "; cancel it by: sutctl cancel " + sut_.str() + " " + submission_.id);
        return k_interrupted;
    }

    void print_id(const std::string& state) const {
        const nlohmann::ordered_json object{
            {"id", submission_.id}, {"sut", sut_.str()}, {"state", state}};
        context_.screen.line(context_.options.json ? object.dump() : submission_.id);
    }

    Outcome<int> tell_taken() {
        if (record_ && record_->state == "REJECTED")
            return tl::make_unexpected(
                Failure{k_refused, "job " + submission_.id + ": " + record_->summary()});
        print_id(record_ ? record_->state : "QUEUED");
        return k_ok;
    }

    Outcome<int> tell_end() {
        if (context_.options.json) context_.screen.line(record_json_);
        context_.screen.say("job " + submission_.id + ": " + record_->summary());
        return record_->exit_code();
    }

    const Context& context_;
    SutName sut_;
    Submission submission_;
    std::string record_topic_;
    OutputPrinter printer_;
    std::unique_ptr<Link> link_;
    std::optional<JobView> record_;
    std::string record_json_;
    std::string rejection_;
    std::optional<std::string> earlier_;  ///< a record with our id, from before the first sending
    bool accepted_ = false;
    bool offline_ = false;
    bool held_ = false;  ///< acknowledged by the broker, on this connection
    std::optional<SteadyTime> away_since_;
    SteadyTime send_at_{};
    SteadyTime answer_by_{};
    SteadyTime quiet_since_{};
};

}  // namespace

Outcome<int> submit(const Context& context) {
    if (!context.options.queue.empty()) return submit_to_queue(context);
    auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    const auto text = submitted_text(context.options);
    if (!text) return tl::make_unexpected(text.error());
    auto submission = make_submission(*text, make_job_id(), context.options);
    if (!submission) return tl::make_unexpected(submission.error());
    return Submit(context, *std::move(sut), *std::move(submission)).run();
}

}  // namespace sutfleet::ctl
