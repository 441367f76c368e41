#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "core/json_guard.hpp"
#include "job_source.hpp"
#include "job_view.hpp"
#include "mqtt/submitter.hpp"
#include "submission.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_repeat = 3s;          ///< between two sendings while there is no word of the supervisor
constexpr auto k_answer_limit = 30s;   ///< for its first word

/// A job in a queue, as `fleet/queue/<queue>/job/<id>` tells it.
struct QueuedJob {
    JobView view;
    std::string sut, why;
};

std::optional<QueuedJob> parse_queued(const std::string& payload) {
    auto view = parse_job(payload);
    if (!view) return std::nullopt;
    const auto object = nlohmann::json::parse(payload, nullptr, false);
    const auto text = [&](const char* key) { return object.contains(key) && object[key].is_string() ? object[key].get<std::string>() : std::string(); };
    return QueuedJob{*std::move(view), text("sut"), text("why")};
}

/// From its message to its end. It is sent until the supervisor tells of the job, or refuses it; its id makes that harmless.
class QueueSubmit {
  public:
    QueueSubmit(const Context& context, std::string queue, Submission submission)
        : context_(context),
          queue_(std::move(queue)),
          submission_(std::move(submission)),
          record_topic_(context.topics.fleet_queue(queue_, "job/" + submission_.id)),
          answer_topic_(context.topics.fleet_response("submit/" + submission_.id)) {}

    Outcome<int> run() {
        if (auto opened = open(); !opened) return tl::make_unexpected(opened.error());
        auto sent = wait_until([this] { return job_.has_value(); }, Clock::now() + k_answer_limit);
        if (!sent || *sent != k_ok) return sent;
        if (!context_.options.wait) return tell_id();
        auto taken = wait_until([this] { return job_->view.ended() || (!job_->sut.empty() && job_->view.state == "RUNNING"); }, SteadyTime::max());
        if (!taken || *taken != k_ok) return taken;
        if (!job_->sut.empty() && ran(job_->view.state)) {
            if (auto shown = show_output(); !shown || *shown != k_ok) return shown;
            if (auto ended = wait_until([this] { return job_->view.ended(); }, SteadyTime::max()); !ended || *ended != k_ok) return ended;
        }
        return tell_end();
    }

  private:
    static bool ran(const std::string& state) { return state != "REJECTED" && state != "EXPIRED"; }

    Outcome<> open() {
        auto link = Link::open(context_.connection, {{record_topic_, 1, true}, {answer_topic_, 1, false}, {context_.topics.fleet_supervisor(), 1, true}}, context_.signals);
        if (!link) return tl::make_unexpected(link.error());
        link_ = *std::move(link);
        return {};
    }

    /// Sends it again and again as long as nobody has told of it.
    Outcome<int> wait_until(const std::function<bool()>& done, SteadyTime limit) {
        while (!done()) {
            if (!job_ && settled_ && Clock::now() >= send_at_) {
                if (auto sent = link_->publish(context_.topics.fleet_queue(queue_, k_submit), submission_.payload, answer_topic_, {{mqtt::k_submitted_by, submitter()}}); !sent) return tl::make_unexpected(sent.error());
                send_at_ = Clock::now() + k_repeat;
                continue;
            }
            if (Clock::now() >= limit) return tl::make_unexpected(no_answer());
            const auto heard = link_->next(std::min({limit, job_ || !settled_ ? Clock::now() + 1s : send_at_}));
            if (heard.kind == Heard::Kind::interrupted) return tell_interrupted();
            if (heard.kind == Heard::Kind::settled) settled_ = true;
            if (heard.kind == Heard::Kind::lost) context_.screen.say("the broker is away; waiting for it");
            if (heard.kind == Heard::Kind::message) hear(heard.message);
            if (!refused_.empty() && !job_) return tl::make_unexpected(Failure{k_refused, "queue " + queue_ + ": " + refused_});
        }
        return k_ok;
    }

    void hear(const mqtt::Message& message) {
        if (message.payload.empty()) return;
        if (message.topic == context_.topics.fleet_supervisor()) {
            supervisor_away_ = message.payload == k_offline;
        } else if (message.topic == answer_topic_) {
            hear_answer(message.payload);
        } else if (auto job = parse_queued(message.payload)) {
            if (context_.options.wait) tell_state(*job);
            job_ = std::move(job);
        }
    }

    void hear_answer(const std::string& payload) {
        const auto object = nlohmann::json::parse(payload, nullptr, false);
        if (!object.is_object()) return;
        if (object.contains("error") && object["error"].is_string()) refused_ = printable(object["error"].get<std::string>());
        if (!object.contains("data") || !object["data"].is_object() || context_.options.wait) return;
        const auto why = object["data"].find("why");
        if (why != object["data"].end() && why->is_string()) context_.screen.say("job " + submission_.id + " waits: " + printable(why->get<std::string>()));
    }

    void tell_state(const QueuedJob& job) {
        const bool runs = job.view.state == "RUNNING";
        const auto text = runs ? "runs on " + job.sut : job.sut.empty() && job.view.state == "QUEUED" ? "waits: " + (job.why.empty() ? "for its turn" : printable(job.why)) : std::string();
        if (text.empty() || text == told_) return;
        told_ = text;
        context_.screen.say("job " + submission_.id + " " + text);
    }

    [[nodiscard]] Failure no_answer() const {
        if (supervisor_away_) return {k_unreachable, "the supervisor is offline; the broker keeps job " + submission_.id + " for it"};
        return {k_timed_out, "the supervisor gave no answer in time; the broker has job " + submission_.id};
    }

    Outcome<int> tell_interrupted() const {
        const auto where = job_ ? "; cancel it by: sutctl cancel --queue " + queue_ + " " + submission_.id : std::string();
        context_.screen.say("job " + submission_.id + (job_ ? " goes on" : " may still run") + where);
        return k_interrupted;
    }

    /// All of it, from the SUT's file: it may have begun before we knew where.
    Outcome<int> show_output() const {
        auto options = context_.options;
        options.sut = job_->sut;
        options.job = submission_.id;
        options.follow = true;
        return logs({options, context_.screen, context_.signals, context_.connection, context_.topics});
    }

    Outcome<int> tell_id() const {
        const nlohmann::ordered_json object{{"id", submission_.id}, {"queue", queue_}, {"state", job_->view.state}};
        context_.screen.line(context_.options.json ? object.dump() : submission_.id);
        return k_ok;
    }

    Outcome<int> tell_end() const {
        context_.screen.say("job " + submission_.id + (job_->sut.empty() ? "" : " on " + job_->sut) + ": " + job_->view.summary());
        return job_->view.exit_code();
    }

    const Context& context_;
    std::string queue_;
    Submission submission_;
    std::string record_topic_, answer_topic_;
    std::unique_ptr<Link> link_;
    std::optional<QueuedJob> job_;
    std::string refused_, told_;
    bool settled_ = false;
    bool supervisor_away_ = false;
    SteadyTime send_at_{};
};

}  // namespace

Outcome<int> submit_to_queue(const Context& context) {
    const auto queue = SutName::parse(context.options.queue);
    if (!queue) return tl::make_unexpected(Failure{k_usage, "--queue: " + queue.error().message});
    const auto text = submitted_text(context.options);
    if (!text) return tl::make_unexpected(text.error());
    auto submission = make_submission(*text, make_job_id(), context.options);
    if (!submission) return tl::make_unexpected(submission.error());
    return QueueSubmit(context, queue->str(), *std::move(submission)).run();
}

}  // namespace sutfleet::ctl
