#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "job_view.hpp"
#include "output_printer.hpp"
#include "submission.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_accept_limit = 5s;  ///< for a first sign of an agent that is up
constexpr auto k_record_limit =
    1s;  ///< a rejection names no job: it is ours when no record follows
constexpr auto k_output_limit = 3s;  ///< for the last output after the record's end
constexpr auto k_for_ever = 24h * 365;

/// A refusal of whatever comes, as opposed to one of the last job.
bool is_standing(const std::string& status) {
    for (const auto* why : {"rejected: parked", "rejected: draining", "rejected: maintenance",
                            "rejected: quarantined"})
        if (status.starts_with(why)) return true;
    return false;
}

Outcome<std::string> read_stdin() {
    std::string out;
    std::array<char, 65536> part{};
    for (;;) {
        const auto got = ::read(STDIN_FILENO, part.data(), part.size());
        if (got <= 0) return out;
        out.append(part.data(), static_cast<std::size_t>(got));
        if (out.size() > k_submit_limit)
            return tl::make_unexpected(Failure{k_refused, "submit: stdin is too large"});
    }
}

Outcome<std::string> text_of(const Options& options) {
    if (options.file.empty()) return script_of(options.words);
    if (options.file == "-") return read_stdin();
    auto text = sys::read_file(options.file, k_submit_limit);
    if (!text) return tl::make_unexpected(Failure{k_usage, "submit: " + text.error().message});
    return *std::move(text);
}

/// One submit from its message to its end.
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
        if (auto sent = link_->publish(context_.topics.of(sut_, k_submit), submission_.payload);
            !sent)
            return tl::make_unexpected(sent.error());
        deadline_ = Clock::now() +
                    (offline_ ? std::chrono::steady_clock::duration(k_for_ever) : k_accept_limit);
        if (!context_.options.wait) {
            if (offline_) return tell_id("sent");
            return wait_for([this] { return record_.has_value() || accepted_; },
                            &Submit::tell_accepted);
        }
        return wait_for([this] { return finished(); }, &Submit::tell_end);
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
            if (heard.kind != Heard::Kind::message || heard.message.payload.empty()) continue;
            known = true;
            hear(heard.message);
        }
        if (!known)
            return tl::make_unexpected(Failure{
                k_refused, "no SUT '" + sut_.str() + "' is known here: `sutctl ps` lists them"});
        if (is_standing(rejection_))
            return tl::make_unexpected(Failure{k_refused, sut_.str() + " " + rejection_});
        rejection_.clear();  // of somebody else's job
        if (offline_)
            context_.screen.say(sut_.str() +
                                " is offline: the job waits in the broker until it is back");
        return {};
    }

    void hear(const mqtt::Message& message) {
        const auto& topics = context_.topics;
        if (message.topic == record_topic_) {
            hear_record(message.payload);
        } else if (message.topic == topics.of(sut_, k_output)) {
            if (printer_.is_of_job(message)) printer_.print(message), quiet_since_ = Clock::now();
        } else if (message.topic == topics.of(sut_, k_agent)) {
            offline_ = message.payload == k_offline;
        } else if (message.topic == topics.of(sut_, k_submit_status)) {
            hear_status(message.payload);
        }
    }

    void hear_status(const std::string& status) {
        accepted_ = accepted_ || status.starts_with("accepted " + submission_.id + ":");
        if (!status.starts_with("rejected: ") || record_ || accepted_) return;
        rejection_ = printable(status);
        deadline_ = Clock::now() + k_record_limit;
    }

    void hear_record(const std::string& payload) {
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

    [[nodiscard]] SteadyTime next_look() const {
        if (record_ && record_->ended()) return quiet_since_ + k_output_limit;
        return record_ || accepted_ ? Clock::now() + 1h : deadline_;
    }

    template <class Done>
    Outcome<int> wait_for(const Done& done, Outcome<int> (Submit::*tell)()) {
        while (!done()) {
            const auto heard = link_->next(next_look());
            if (heard.kind == Heard::Kind::interrupted) return tell_interrupted();
            if (heard.kind == Heard::Kind::lost)
                context_.screen.say("the broker is away; the job goes on, waiting for the broker");
            if (heard.kind == Heard::Kind::message) hear(heard.message);
            if (heard.kind == Heard::Kind::timeout && !record_ && !accepted_ &&
                Clock::now() >= deadline_)
                return tell_no_answer();
        }
        return (this->*tell)();
    }

    Outcome<int> tell_no_answer() {
        if (!rejection_.empty())
            return tl::make_unexpected(Failure{k_refused, sut_.str() + " " + rejection_});
        if (offline_) return tell_id("sent");
        return tl::make_unexpected(
            Failure{k_timed_out,
                    sut_.str() + " gave no answer in time; the broker has job " + submission_.id});
    }

    Outcome<int> tell_interrupted() const {
        context_.screen.say("job " + submission_.id + " goes on; cancel it by: sutctl cancel " +
                            sut_.str() + " " + submission_.id);
        return k_interrupted;
    }

    Outcome<int> tell_id(const std::string& state) const {
        const nlohmann::ordered_json object{
            {"id", submission_.id}, {"sut", sut_.str()}, {"state", state}};
        context_.screen.line(context_.options.json ? object.dump() : submission_.id);
        return k_ok;
    }

    Outcome<int> tell_accepted() {
        if (!record_ || !record_->ended()) return tell_id(record_ ? record_->state : "QUEUED");
        if (record_->state != "REJECTED") return tell_id(record_->state);
        return tl::make_unexpected(
            Failure{k_refused, "job " + submission_.id + ": " + record_->summary()});
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
    bool accepted_ = false;
    bool offline_ = false;
    SteadyTime deadline_{};
    SteadyTime quiet_since_{};
};

}  // namespace

Outcome<int> submit(const Context& context) {
    auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    const auto text = text_of(context.options);
    if (!text) return tl::make_unexpected(text.error());
    auto submission = make_submission(*text, make_job_id(), context.options);
    if (!submission) return tl::make_unexpected(submission.error());
    return Submit(context, *std::move(sut), *std::move(submission)).run();
}

}  // namespace sutfleet::ctl
