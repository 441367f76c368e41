// The agent's side of the bus: what it publishes, what it hears.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "agent.hpp"
#include "command_argument.hpp"
#include "core/duration.hpp"
#include "core/one_line.hpp"
#include "handover.hpp"
#include "periodic.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::ordered_json;
using namespace std::chrono_literals;

constexpr auto k_rejection_shown = 5s;
constexpr auto k_shown_again = 10s;  ///< the record of an old job that was submitted again
constexpr const char* k_broker_uptime = "$SYS/broker/uptime";  ///< Mosquitto's: "12 seconds"
constexpr auto k_uptime_limit = 5s;
constexpr std::ptrdiff_t k_pruned_shown = 50;
constexpr unsigned k_longest_hold = 300;  // seconds
constexpr std::size_t k_why_limit = 200;  // bytes
/// With a long queue of short jobs, all that wait move up at each start: a message for each of them, again and again.
constexpr auto k_positions_every = 150ms;
constexpr auto k_metrics_every = 10s;  // at a heartbeat

std::string dump(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

/// Of the newest jobs; nothing when none has run.
std::optional<double> mean_run_seconds(const std::vector<JobRecord>& done) {
    double sum = 0;
    int runs = 0;
    for (const auto& record : done) {
        if (record.phases.empty()) continue;
        ++runs;
        for (const auto& [name, result] : record.phases) sum += result.seconds;
    }
    if (runs == 0) return std::nullopt;
    return std::round(sum / runs * 1000) / 1000;
}

}  // namespace

void Agent::hear_broker(SteadyTime now) {
    // What comes before the connection is whole could not be answered: it waits, and so does what is said of a submit that
    // waited in the session, of which only the newest would be left.
    const bool connected = session_->connected();
    auto drained = connected ? session_->drain() : mqtt::Drained{};
    if (connected && session_->epoch() != epoch_) {
        epoch_ = session_->epoch();
        uptime_asked_.reset();
        tails_.clear();
        feed_.rewind();
        for (auto& old : trailing_) old.feed.rewind();
        if (current_) current_->feed.rewind();
        board_.refresh(topics_.of(conf_.sut, k_agent), "online");
        board_.flush(*session_, now);
        next_beat_ = now;
        sys::log(sys::Level::info, "connected to the broker");
        sys::crash_point("broker: connected");
    }
    for (const auto id : drained.acknowledged) {
        tails_.erase(id);
        feed_.acknowledged(id);
        sys::crash_point("output: acknowledged");
        for (auto& old : trailing_) old.feed.acknowledged(id);
        if (current_) current_->feed.acknowledged(id);
    }
    settle_repeats(drained.messages, now);
    const auto answers = connected ? book_->take_answers() : std::vector<JobBook::Answer>{};
    if (!drained.messages.empty() || !answers.empty()) settle_journal();  // what is said now may tell of a job that has just ended
    if (!drained.messages.empty()) begin_granted(now);  // a command may be meant for the job that came just before it
    for (const auto& message : drained.messages) hear(message, now);
    answer_submits(answers, now);
    send_replies();
}

/// A text that may be a repeat waits until the broker has said how long it has run.
void Agent::settle_repeats(const std::vector<mqtt::Message>& heard, SteadyTime now) {
    if (!book_->has_possible_repeats()) return;
    if (!uptime_asked_) {
        if (session_->subscribe({k_broker_uptime, 0, true})) uptime_asked_ = now;
        return;
    }
    std::optional<std::chrono::seconds> uptime;
    for (const auto& message : heard)
        if (message.topic == k_broker_uptime) uptime = std::chrono::seconds(std::strtoll(message.payload.c_str(), nullptr, 10));
    if (!uptime && now - *uptime_asked_ < k_uptime_limit) return;
    book_->settle_repeats(uptime, sys::wall_now());
    uptime_asked_.reset();
    // If it fails, the connection is gone, and the subscription with it.
    [[maybe_unused]] const auto unsubscribed = session_->unsubscribe(k_broker_uptime);
}

void Agent::hear(const mqtt::Message& message, SteadyTime now) {
    const auto topic = topics_.parse(message.topic);
    constexpr std::string_view k_cmd = "cmd/";
    // A retained command would be obeyed again at every connect; an empty payload is a topic being cleared.
    if (!topic || !topic->rest.starts_with(k_cmd) || message.retain) return;
    const auto verb = topic->rest.substr(k_cmd.size());
    if (message.payload.empty() && verb == "cancel" && !current_) return;
    sys::crash_point("command: not obeyed");
    const auto most = is_handover(verb) ? k_handover_limit : k_command_limit;
    if (message.payload.size() > most) return answer(message, verb, fail(ErrorKind::invalid_input, "expected at most " + std::to_string(most) + " bytes"));
    if (verb == "tail") return answer(message, verb, tail(message.payload), DataForm::json);
    if (is_handover(verb)) {
        return answer(message, verb, hand_over(*book_, verb, message.payload, may_start(now), sys::wall_now()), DataForm::json);
    }
    const auto outcome = obey(verb, command_argument(message.payload), now);
    sys::crash_point("command: obeyed, not answered");
    answer(message, verb, outcome);
}

void Agent::answer(const mqtt::Message& request, std::string_view verb, const Result<std::string>& outcome, DataForm form) {
    const auto data = !outcome ? ordered_json(nullptr) : form == DataForm::json ? ordered_json::parse(*outcome) : ordered_json(*outcome);
    mqtt::Publication message;
    message.topic = topics_.answer_topic(request.response_topic, topics_.response(conf_.sut, verb));
    message.correlation_data = request.correlation_data;
    message.payload = dump({{"status", outcome ? "ok" : "error"},
                            {"data", data},
                            {"error", outcome ? ordered_json(nullptr) : ordered_json(outcome.error().message)},
                            {"transaction", ordered_json::parse(command_transaction(request.payload))}});
    if (!outcome || form == DataForm::text) return reply(std::move(message));
    // A piece of a log does not wait in memory: whoever asked asks again.
    if (const auto sent = session_->publish(message)) tails_.insert(*sent);
}

void Agent::reply(mqtt::Publication publication) {
    replies_.push_back(std::move(publication));
    if (replies_.size() <= k_replies_limit) return;
    replies_.pop_front();
    sys::log(sys::Level::warn, "an answer was lost: too many wait for the broker");
}

/// What waited in the session for a new life comes a moment before the connection counts as made: so do the answers.
void Agent::send_replies() {
    while (!replies_.empty() && session_->publish(replies_.front())) replies_.pop_front();
}

Result<std::string> Agent::obey(std::string_view verb, const std::string& argument, SteadyTime now) {
    if (verb == "cancel") {
        if (current_ && !current_->only_cleanup && (argument.empty() || argument == current_->record.id.str())) {
            const auto id = current_->record.id.str();
            if (current_->finish) return fail(ErrorKind::conflict, "job " + id + " has ended; its artifacts are being listed");
            if (current_->run.ending()) return "job " + id + " is ending already";
            auto effects = current_->run.cancel("canceled", now);
            const auto when = effects.empty() ? " once its phase " + current_->run.phase() + " has ended" : std::string();
            apply(std::move(effects), now);
            return "canceling " + id + when;
        }
        const auto id = JobId::parse(argument);
        auto record = id ? book_->find(*id) : std::nullopt;
        if (!record || record->only_offered()) return fail(ErrorKind::not_found, argument.empty() ? "no job runs" : "no such job: " + argument);
        if (record->state != JobState::queued)
            return fail(ErrorKind::conflict, "job " + argument + " is " + std::string(to_string(record->state)));
        record->state = JobState::canceled;
        record->reason = "canceled in the queue";
        record->finished = format_rfc3339(sys::wall_now());
        const auto updated = book_->update(*record);
        if (record->attempt > 1) job_folders_->ended(*id, sys::wall_now());
        if (current_ && current_->record.id == *id) current_->record = *book_->find(*id);  // the cleanup before its next attempt runs
        return "canceled " + argument + (updated ? std::string() : "; not on disk yet: " + updated.error().message);
    }
    if (verb == "restart") {
        if (!conf_.rules.command) return fail(ErrorKind::not_found, "this SUT has no command");
        if (stopping_) return fail(ErrorKind::conflict, "the agent stops");
        restart_command(now);
        return "restarting the command";
    }
    if (verb == "hold") return hold(argument, now);
    if (verb == "drain") {
        gate_.drain();
        book_->refuse_all(gate_.refusal());
        return "takes no more jobs until resume";
    }
    if (verb == "resume") {
        gate_.resume();
        book_->refuse_all(gate_.refusal());
        return "takes jobs";
    }
    if (verb == "prune") return prune(argument);
    if (verb == "reinit") return household_->reinit(argument);
    return fail(ErrorKind::invalid_input, "unknown command '" + std::string(verb.substr(0, 40)) +
                                              "': expected cancel, restart, drain, hold, resume, prune, reinit or tail");
}

/// `SECONDS [WHY]`: a promise of the supervisor to come back, which ends by itself should it not.
Result<std::string> Agent::hold(const std::string& argument, SteadyTime now) {
    const auto blank = std::min(argument.find(' '), argument.size());
    unsigned seconds = 0;
    const auto [end, error] = std::from_chars(argument.data(), argument.data() + blank, seconds);
    if (error != std::errc{} || end != argument.data() + blank || seconds > k_longest_hold)
        return fail(ErrorKind::invalid_input, "expected seconds, at most " + std::to_string(k_longest_hold) + ", and why");
    const auto why = one_line(std::string_view(argument).substr(std::min(blank + 1, argument.size())), k_why_limit);
    gate_.hold(now + std::chrono::seconds{seconds}, "no job is started: " + (why.empty() ? "held" : why));
    return "starts no job for " + std::to_string(seconds) + " s";
}

Result<std::string> Agent::prune(const std::string& argument) {
    constexpr std::string_view k_dry_run = "dry-run";
    if (!argument.empty() && argument != k_dry_run)
        return fail(ErrorKind::invalid_input, "'" + argument.substr(0, 40) + "': expected nothing or dry-run");
    const auto due = job_folders_->due(sys::wall_now());
    if (!due) return fail(ErrorKind::transient, "the job folders are still being measured: try again");
    std::uint64_t bytes = 0;
    std::string list;
    for (const auto& one : *due) {
        bytes += one.bytes;
        if (&one - due->data() < k_pruned_shown)
            list += "\n" + one.id.str() + "  " + std::to_string(one.bytes / 1024) + " KiB  ended " + format_rfc3339(one.ended);
    }
    if (std::ssize(*due) > k_pruned_shown) list += "\n…";
    if (argument.empty()) job_folders_->remove_due();
    return std::string(argument.empty() ? "removes " : "would remove ") + std::to_string(due->size()) + " job folders, " +
           std::to_string(bytes / 1024) + " KiB" + list;
}

/// Beside `submit_status`, which is for all: the requester's own answer, if it has asked for one.
void Agent::answer_requester(const JobBook::Answer& said) {
    const auto topic = topics_.answer_topic(said.reply_to.topic, {});
    if (topic.empty()) return;
    const bool taken = said.verdict != JobBook::Verdict::rejected;
    const auto record = said.id ? book_->find(*said.id) : std::nullopt;
    mqtt::Publication message;
    message.topic = topic;
    message.correlation_data = said.reply_to.correlation_data;
    message.payload = dump({{"status", taken ? "ok" : "error"},
                            {"data", record ? ordered_json::parse(encode_job_record(*record)) : ordered_json(nullptr)},
                            {"error", taken ? ordered_json(nullptr) : ordered_json("rejected: " + said.why)}});
    reply(std::move(message));
}

void Agent::answer_submits(const std::vector<JobBook::Answer>& answers, SteadyTime now) {
    const auto topic = topics_.of(conf_.sut, k_submit_status);
    for (const auto& said : answers) {
        answer_requester(said);
        if (said.verdict == JobBook::Verdict::rejected) {
            rejection_ = "rejected: " + said.why;
            rejection_until_ = now + k_rejection_shown;
            board_.refresh(topic, rejection_);
            board_.flush(*session_, now);
        } else {
            rejection_.clear();
            board_.refresh(topic, "accepted " + said.id->str() + ": position " + std::to_string(said.position));
            board_.flush(*session_, now);
            std::this_thread::yield();  // its sender may wait for this very CPU, which the start of the job would keep
            if (said.verdict == JobBook::Verdict::known) show_again(*said.id, now);
        }
    }
    if (!rejection_.empty() && now >= rejection_until_) rejection_.clear();
}

/// Whoever submitted it again gets the same record. One that is not among those that are shown goes away again.
void Agent::show_again(const JobId& id, SteadyTime now) {
    const auto topic = topics_.job(conf_.sut, id.str());
    if (auto shown = board_.get(topic); !shown.empty()) {
        board_.refresh(topic, std::move(shown));
    } else if (const auto record = book_->find(id)) {
        shown_jobs_[topic] = record->version;
        shown_again_until_ = now + k_shown_again;
        board_.refresh(topic, encode_job_record(*record));
    }
    board_.flush(*session_, now);  // before it may be taken away again in this very turn
}

OutputFeed::Publish Agent::publisher(const std::string& stream, const std::string& job) {
    return [this, stream, job](OutputBatch&& batch) -> Result<std::uint64_t> {
        mqtt::Publication publication;
        publication.topic = topics_.of(conf_.sut, k_output);
        publication.payload = std::move(batch.text);
        publication.retain = true;
        publication.quiet = batch.quiet;
        publication.user_properties = {{"boot", boot_},
                                       {"job", job},
                                       {"stream", stream},
                                       {"offset", std::to_string(batch.offset)},
                                       {"bytes", std::to_string(batch.bytes)},
                                       {"dropped", std::to_string(batch.dropped)}};
        return session_->publish(std::move(publication));
    };
}

void Agent::feed_output(SteadyTime now) {
    if (current_ && current_->log->end() != current_->log_seen) {
        current_->log_seen = current_->log->end();
        current_->run.output_seen(now);
    }
    flooded_ = !session_->connected();
    feed_due_.reset();  // without a connection, and behind an ended job's output, no feed has a time
    if (!session_->connected() || session_->epoch() != epoch_) return;  // a new connection: hear_broker comes first
    feed_.run(now, !command_, publisher("command", ""));
    feed_due_ = feed_.due();
    flooded_ = feed_.full();
    std::erase_if(trailing_, [](const Trailing& old) { return old.feed.idle(); });
    for (auto& old : trailing_) {
        old.feed.run(now, true, publisher("job", old.job));
        if (!old.feed.sent_all()) return;  // in order: an ended job's output before the next one's
    }
    if (!current_) return;
    current_->feed.run(now, false, publisher("job", current_->record.id.str()));
    flooded_ = flooded_ || current_->feed.full();
    if (const auto due = current_->feed.due(); due && (!feed_due_ || *due < *feed_due_)) feed_due_ = due;
}

std::string Agent::state_name() const {
    if (stopping_) return "offline";
    if (!gate_.maintenance().empty()) return "maintenance";
    if (gate_.draining()) return "draining";
    if (current_) return "busy";
    return household_->ready() ? "ready" : "init";
}

std::string Agent::submit_status(SteadyTime now) const {
    if (stopping_) return std::string(k_offline);
    if (!rejection_.empty() && now < rejection_until_) return rejection_;
    if (current_ && !current_->only_cleanup)
        return "busy: " + current_->record.id.str() + ", " + std::to_string(book_->queued_count()) + " queued";
    if (const auto why = gate_.refusal(); !why.empty()) return "rejected: " + why;
    if (!household_->ready()) return "busy: init, " + std::to_string(book_->queued_count()) + " queued";
    return "ready: publish a command to " + topics_.of(conf_.sut, k_submit);
}

/// What needs no broker.
HealthVerdict Agent::own_verdict(SteadyTime now) const {
    const auto& rules = conf_.rules.health;
    if (const auto trouble = pump_->trouble(); !trouble.empty()) return {Health::unhealthy, trouble};
    if (pump_stands_.length() > rules.max_age)
        return {Health::unhealthy, "the output pump has not moved for more than " + format_duration(rules.max_age)};
    const auto life = lifecycle_.verdict(now), said = output_watch_.verdict(), kept = household_->verdict(now);
    for (const auto* one : {&life, &said, &kept})
        if (one->health == Health::unhealthy) return *one;
    if (rules.silence && lifecycle_.state() == Lifecycle::State::running && silence_.length() > *rules.silence)
        return {Health::unhealthy, "silence: no output of the command for more than " + format_duration(*rules.silence)};
    for (const auto* one : {&life, &said, &kept})
        if (!one->why.empty()) return *one;
    if (pump_->stdout_stuck()) return {Health::degraded, "nobody reads the container's stdout: what it has to get waits in the log"};
    return life;
}

HealthVerdict Agent::verdict(SteadyTime now) const {
    auto life = own_verdict(now);
    if (life.health == Health::unhealthy || session_->connected()) return life;
    auto away = "broker away: " + session_->last_error();
    if (conf_.broker.starts_with("mqtts://") && away.find("TLS") != std::string::npos)
        away += " (no broker at " + conf_.broker + ", or none with a certificate of the CA that came with the conf)";
    return {Health::degraded, life.why.empty() ? away : life.why + "; " + away};
}

void Agent::publish_state(SteadyTime now) {
    const bool beat = now >= next_beat_ && session_->connected();
    const auto health = verdict(now);
    const auto why = !gate_.maintenance().empty() ? gate_.maintenance() : health.why.empty() ? gate_.held(now) : health.why;
    const auto name = state_name();
    if (name + why != last_state_) {
        last_state_ = name + why;
        since_ = format_rfc3339(sys::wall_now());
    }
    const auto put = [&](std::string_view level, std::string payload) {
        const auto topic = topics_.of(conf_.sut, level);
        beat ? board_.refresh(topic, std::move(payload)) : board_.set(topic, std::move(payload));
    };
    publish_jobs(now);
    put(k_state, dump({{"state", name}, {"boot", boot_}, {"since", since_}, {"why", why}}));
    put(k_submit_status, submit_status(now));
    if (beat) next_beat_ = next_together(now, conf_.rules.health.heartbeat);
    if (!beat) return;
    publish_metrics(now);
    // Only the main thread says ok, so that a hung one falls silent.
    put(k_agent, health.health == Health::ok ? "ok" : std::string(to_string(health.health)) + ": " + health.why);
}

/// At QoS 0: one that is lost is followed by another.
void Agent::publish_metrics(SteadyTime now) {
    if (now < next_metrics_) return;
    next_metrics_ = next_together(now, k_metrics_every);
    auto numbers = usage_.look(now);
    numbers.emplace_back("queued", std::to_string(book_->queued().size()));
    for (auto& [name, number] : numbers) {
        mqtt::Publication publication;
        publication.topic = topics_.metric(conf_.sut, name);
        publication.payload = std::move(number);
        publication.qos = 0;
        publication.retain = true;
        publication.quiet = true;
        if (!session_->publish(std::move(publication))) return;
    }
}

void Agent::show_current() {
    if (current_) board_.set(topics_.job(conf_.sut, current_->record.id.str()), encode_job_record(current_->record));
}

/// A record that changed is shown at once, one that only moved up in the queue at most every k_positions_every.
void Agent::publish_jobs(SteadyTime now) {
    show_current();
    const bool positions = now >= positions_due_;
    const bool again_over = shown_again_until_ && now >= *shown_again_until_;
    if (shown_revision_ == book_->revision() && !(positions_stale_ && positions) && !again_over) return;
    shown_again_until_.reset();
    shown_revision_ = book_->revision();
    const auto queued = book_->queued();
    const auto done = book_->done();
    ordered_json jobs{{"running", current_ && !current_->only_cleanup ? ordered_json(current_->record.id.str()) : nullptr},
                      {"queued", ordered_json::array()},
                      {"done", ordered_json::array()}};
    std::map<std::string, std::uint64_t> shown;
    const auto unchanged = [&](const std::string& topic, const JobRecord& record) {
        const auto before = shown_jobs_.find(topic);
        return before != shown_jobs_.end() && before->second == record.version;
    };
    const auto show = [&](const JobRecord& record, bool again) {
        const auto topic = topics_.job(conf_.sut, record.id.str());
        if (again || !unchanged(topic, record)) board_.set(topic, encode_job_record(record));
        shown[topic] = record.version;
    };
    const auto usual = mean_run_seconds(done);
    std::size_t position = 0;
    for (auto record : queued) {
        record.position = ++position;
        if (usual) record.estimate = *usual * static_cast<double>(position - (current_ ? 0 : 1));
        jobs["queued"].push_back(record.id.str());
        show(record, positions);
    }
    positions_stale_ = !positions && !queued.empty();
    if (positions && !queued.empty()) positions_due_ = now + k_positions_every;
    for (const auto& record : done) {
        jobs["done"].push_back(record.id.str());
        show(record, false);
    }
    if (current_) shown[topics_.job(conf_.sut, current_->record.id.str())] = current_->record.version;
    for (const auto& [topic, version] : shown_jobs_)
        if (!shown.contains(topic)) board_.clear(topic);
    shown_jobs_ = std::move(shown);
    board_.set(topics_.of(conf_.sut, k_jobs), dump(jobs));
}

}  // namespace sutfleet::agent
