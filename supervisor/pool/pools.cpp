#include "pool/pools.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "job/submitter_json.hpp"
#include "mqtt/submitter.hpp"
#include "pool/pool_report.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using nlohmann::ordered_json;
using namespace std::chrono_literals;
using State = PoolJob::State;

constexpr const char* k_user = "fleet";     ///< of the broker; no SUT has this name
constexpr auto k_session_life = std::chrono::hours{24 * 7};
constexpr auto k_offer_limit = 3s;          ///< without a word an offer is taken back
constexpr auto k_refused_for = 2s;
constexpr auto k_forbidden_for = 60s;       ///< a conf may be edited
constexpr auto k_grant_again = 5s;          ///< until the SUT has said that it has it
constexpr auto k_ask_again = 30s;           ///< how it goes, in case that a message was lost
constexpr auto k_show_again = 10s;          ///< how long the oldest has waited
constexpr auto k_show_said = 200ms;         ///< what SUTs say, at most so often: short jobs on many are a flood of it
constexpr auto k_look_back = 10s;           ///< for what an earlier life has left on the broker
constexpr std::size_t k_positions_shown = 100;  ///< behind that, a job's record does not change at each start
constexpr std::string_view k_job = "job/", k_status = "status";

std::string dump(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }

/// The queue of `queue/<queue>/submit`.
std::optional<std::string> submit_queue(std::string_view rest) {
    constexpr std::string_view k_begin = "queue/", k_end = "/submit";
    if (!rest.starts_with(k_begin) || !rest.ends_with(k_end) || rest.size() <= k_begin.size() + k_end.size()) return std::nullopt;
    return std::string(rest.substr(k_begin.size(), rest.size() - k_begin.size() - k_end.size()));
}

bool is_final(const std::string& state) { return state != "QUEUED" && state != "RUNNING"; }

}  // namespace

Result<std::unique_ptr<Pools>> Pools::open(const std::string& journal, const Topics& topics) {
    auto book = PoolBook::open(journal);
    if (!book) return fail(book.error());
    return std::make_unique<Pools>(*std::move(book), topics);
}

void Pools::listen(const Settings& settings, const sys::Wake& wake) {
    if (intake_) return;
    mqtt::SessionOptions options;
    options.url = settings.broker;
    options.ca = settings.ca;
    options.user = k_user;
    options.client_id = mqtt::own_client_id(options.user);
    options.password = [path = settings.password_file] { return sys::read_short_text(path); };
    options.session_expiry = k_session_life;
    options.clean_start = false;
    options.subscriptions = {{topics_.fleet_queue("+", k_submit), 1, false}};
    intake_ = mqtt::Session::open(std::move(options), wake, [this, &wake](const mqtt::Message& message) {
        const auto rest = topics_.parse_fleet(message.topic);
        const auto queue = rest ? submit_queue(*rest) : std::nullopt;
        if (queue && !message.payload.empty())
            book_->accept(*queue, message.payload, message.retain, message.response_topic, message.correlation_data, sys::wall_now(),
                          mqtt::submitter_of(message.user_properties));
        wake.notify();
        return true;
    });
}

std::vector<mqtt::Subscription> Pools::subscriptions(const Topics& topics) {
    return {{topics.of_all("res/offer"), 1, false}, {topics.of_all("res/grant"), 1, false}, {topics.of_all(k_submit_status), 0, true}};
}

void Pools::serve(const SutName& sut, const std::set<std::string>& queues, bool served) {
    for (const auto& queue : queues) {
        auto& suts = serving_[queue];
        served ? static_cast<void>(suts.insert(sut)) : static_cast<void>(suts.erase(sut));
        book_->serve(queue, !suts.empty());
        if (suts.empty()) serving_.erase(queue);
        to_show_.insert(queue);
    }
}

void Pools::set_sut(const SutName& sut, std::optional<PoolSut> fresh) {
    const auto old = suts_.find(sut);
    if (!fresh) {
        if (old == suts_.end()) return;
        serve(sut, old->second.queues, false);
        suts_.erase(old);
        said_.erase(sut);
        refusing_.erase(sut);
        return;
    }
    if (old != suts_.end() && old->second.queues == fresh->queues && old->second.why == fresh->why) return;
    serve(sut, fresh->queues, true);  // first: what it serves before and after is served meanwhile
    if (old != suts_.end()) {
        fresh->last_used = old->second.last_used;
        std::set<std::string> no_more;
        std::ranges::set_difference(old->second.queues, fresh->queues, std::inserter(no_more, no_more.end()));
        serve(sut, no_more, false);
    }
    suts_.insert_or_assign(sut, *std::move(fresh));
}

/// Of its queues something may be different now.
void Pools::changed(const SutName& sut) {
    if (const auto found = suts_.find(sut); found != suts_.end()) to_show_.insert(found->second.queues.begin(), found->second.queues.end());
}

void Pools::hear(const SutName& sut, std::string_view level, const std::string& payload, SteadyTime now) {
    constexpr std::string_view k_res = "res/";
    const auto note = [&](std::string& into) {
        if (std::exchange(into, payload) != payload) changed(sut);
    };
    if (level == k_submit_status) note(said_[sut].submit_status);
    if (level == k_agent) note(said_[sut].agent);
    if (level.starts_with(k_res)) hear_word(sut, level.substr(k_res.size()), payload, now);
    if (!level.starts_with(k_job)) return;
    const auto id = JobId::parse(level.substr(k_job.size()));
    const auto job = id ? book_->find(*id) : std::nullopt;
    if (job && job->state == State::granted && job->sut == sut.str()) hear_record(*job, payload);
}

void Pools::hear_word(const SutName& sut, std::string_view verb, const std::string& payload, SteadyTime now) try {
    if (too_deep(payload)) return;
    const auto answer = ordered_json::parse(payload);
    if (answer.at("status") != "ok") return;  // no word: it is asked again, or the offer is taken back
    const auto& data = answer.at("data");
    const auto id = JobId::parse(data.at("id").get<std::string>());
    auto job = id ? book_->find(*id) : std::nullopt;
    if (!job || job->sut != sut.str() || data.at("number") != job->number) return;  // of an offer that was taken back
    const auto word = data.at("word").get<std::string>();
    const auto why = data.at("why").get<std::string>();
    if (job->state == State::offered && verb == "offer") {
        if (word == "forbidden") return forbid(sut, *job, why, now);
        if (word == "refused") {
            refuse(sut, why, now);
            return put_back(*job, sut.str() + ": " + why);
        }
        job->state = State::granted;
        if (!keep(*job)) return;
        sys::crash_point("pool: granted, not sent");
        touched_[*id] = {};
        if (word == "known") touched_[*id].confirmed = true, hear_record(*job, dump(data.at("record")));
    } else if (job->state == State::granted && verb == "grant") {
        if (word == "refused") return put_back(*job, sut.str() + ": " + why);
        if (word == "unknown") return end(*job, "LOST", "the journal of " + sut.str() + " does not know it any more", {});
        touched_[*id].confirmed = true;
        hear_record(*job, dump(data.at("record")));
    }
} catch (const std::exception& error) {
    sys::log(sys::Level::warn, "sut=" + sut.str() + " an answer means nothing: " + error.what());
}

void Pools::hear_record(PoolJob job, const std::string& record) try {
    if (record.empty() || too_deep(record)) return;
    const auto from = ordered_json::parse(record);
    const auto state = from.at("state").get<std::string>();
    auto& touch = touched_[job.id];
    if (std::exchange(touch.shown, state) != state || !touch.confirmed) to_show_.insert(job.queue);
    touch.confirmed = true;
    touch.trouble.clear();
    if (!is_final(state)) return;
    const auto exit = from.at("exit").is_null() ? std::nullopt : std::optional(integer_of<int>(from.at("exit")));
    end(std::move(job), state, from.at("reason").is_null() ? std::string() : from.at("reason").get<std::string>(), exit);
} catch (const std::exception& error) {
    sys::log(sys::Level::warn, "job=" + job.id.str() + " its record means nothing: " + error.what());
}

bool Pools::keep(const PoolJob& job) {
    const auto kept = book_->update(job);
    if (!kept) sys::log(sys::Level::error, "job=" + job.id.str() + " the journal of the queues cannot be written: " + kept.error().message);
    return kept.has_value();
}

void Pools::put_back(PoolJob job, const std::string& why) {
    if (job.cancel) return end(std::move(job), "CANCELED", "canceled before it started", {});
    job.state = State::waiting;
    job.reason = why;
    keep(job);
}

/// A SUT's submit policy is its agent's to know. When no SUT of the queue lets it run, nobody waits for one that might.
void Pools::forbid(const SutName& sut, PoolJob job, const std::string& why, SteadyTime now) {
    auto& by = forbidden_[job.id];
    by[sut] = now + k_forbidden_for;
    const auto serves = serving_.find(job.queue);
    const bool all = serves != serving_.end() && std::ranges::all_of(serves->second, [&](const auto& one) { return by.contains(one) && now < by.at(one); });
    if (!all) return put_back(std::move(job), sut.str() + ": " + why);
    end(std::move(job), "REJECTED", why, {});
}

void Pools::end(PoolJob job, std::string result, std::string reason, std::optional<int> exit) {
    job.state = State::ended;
    job.result = std::move(result);
    job.reason = std::move(reason);
    job.exit = exit;
    job.finished = format_rfc3339(sys::wall_now());
    keep(job);
}

/// Why nobody is there to take a job; empty: there is.
std::string Pools::why_down(const SutName& sut, const PoolSut& one) const {
    if (!one.why.empty()) return one.why;
    const auto found = said_.find(sut);
    if (found == said_.end() || found->second.agent.empty()) return "has said nothing yet";
    return found->second.agent == k_offline ? "is offline" : "";
}

/// Why a SUT takes no job now, in its own words or the supervisor's; empty: it does.
std::string Pools::why_busy(const SutName& sut, const PoolSut& one, SteadyTime now) const {
    if (auto why = why_down(sut, one); !why.empty()) return why;
    const auto& said = said_.at(sut);
    if (said.agent.starts_with("unhealthy")) return "is " + said.agent;
    if (!said.submit_status.starts_with("ready") && !said.submit_status.starts_with("accepted")) return said.submit_status;
    return now < said.refused_until ? "said: " + said.refused : std::string();
}

/// Empty when one of the queue's SUTs is there, if only busy.
std::string Pools::why_all_down(const std::string& queue) const {
    std::map<SutName, PoolSut> down;
    const auto serves = serving_.find(queue);
    if (serves == serving_.end()) return {};
    for (const auto& sut : serves->second) {
        auto why = why_down(sut, suts_.at(sut));
        if (why.empty()) return {};
        down[sut].why = std::move(why);
    }
    return why_none(down);
}

std::map<SutName, PoolSut> Pools::serving(const std::string& queue, SteadyTime now) const {
    std::map<SutName, PoolSut> out;
    if (const auto found = serving_.find(queue); found != serving_.end())
        for (const auto& sut : found->second) {
            auto& one = out[sut] = suts_.at(sut);
            one.why = why_busy(sut, one, now);
        }
    return out;
}

void Pools::send(mqtt::Session& session, const PoolJob& job, std::string_view verb, SteadyTime now) {
    const auto sut = SutName::parse(job.sut);
    if (!sut) return;
    ordered_json object{{"id", job.id.str()}, {"number", job.number}};
    if (verb == "offer") {
        const auto payload = book_->payload(job.id);
        if (!payload) return sys::log(sys::Level::error, "job=" + job.id.str() + " cannot be read: " + payload.error().message);
        object["queue"] = job.queue;
        object["job"] = *payload;
        if (!job.submitted_by.empty()) object["by"] = submitter_json(job.submitted_by);
    }
    if (job.cancel) object["cancel"] = true;
    mqtt::Publication publication;
    publication.topic = topics_.command(*sut, verb);
    publication.payload = dump(object);
    if (session.publish(publication)) touched_[job.id].sent = now;
}

void Pools::answer(mqtt::Session& session) {
    for (const auto& said : book_->take_answers()) {
        const bool taken = said.verdict != PoolBook::Verdict::rejected;
        const auto job = taken ? book_->find(*said.id) : std::nullopt;
        const auto why = !taken ? said.why : job && job->state == State::waiting ? why_all_down(said.queue) : std::string();
        const auto text = !taken ? "rejected: " + why
                                 : "accepted " + said.id->str() + ": " +
                                       (said.verdict == PoolBook::Verdict::known ? "known" : "position " + std::to_string(said.position)) +
                                       (why.empty() ? why : "; waits: " + why);
        if (serving_.contains(said.queue) || (job && job->state != State::ended)) {
            last_answer_[said.queue] = text;
            to_show_.insert(said.queue);
        } else {  // a queue that is not shown: said to who listens, and not kept
            mqtt::Publication once;
            once.topic = topics_.fleet_queue(said.queue, k_status);
            once.payload = encode_queue_status(said.queue, {}, {}, text, sys::wall_now());
            if (const auto sent = session.publish(std::move(once)); !sent) sys::log(sys::Level::debug, sent.error().message);
        }
        const auto answer_to = topics_.answer_topic(said.response_topic, {});
        if (answer_to.empty()) continue;
        mqtt::Publication publication;
        publication.topic = answer_to;
        publication.correlation_data = said.correlation_data;
        publication.payload = dump({{"status", taken ? "ok" : "error"},
                                    {"data", taken ? ordered_json{{"id", said.id->str()}, {"queue", said.queue}, {"why", why.empty() ? ordered_json(nullptr) : ordered_json(why)}} : ordered_json(nullptr)},
                                    {"error", taken ? ordered_json(nullptr) : ordered_json(text)}});
        if (const auto sent = session.publish(publication); !sent) sys::log(sys::Level::debug, sent.error().message);
    }
}

void Pools::refuse(const SutName& sut, const std::string& why, SteadyTime now) {
    said_[sut].refused = why;
    said_[sut].refused_until = now + k_refused_for;
    refusing_.insert(sut);
    changed(sut);
}

void Pools::expire() {
    const auto now = format_rfc3339(sys::wall_now());
    for (const auto& job : book_->open_jobs())
        if (job.state == State::waiting && !job.expires.empty() && job.expires <= now)
            end(job, "EXPIRED", "not started until " + job.expires, {});
}

void Pools::offer(mqtt::Session& session, SteadyTime now) {
    const auto jobs = book_->open_jobs();
    std::set<std::string> queues;
    for (const auto& job : jobs)
        if (job.state == State::waiting) queues.insert(job.queue);
    std::map<SutName, PoolSut> suts;
    for (const auto& queue : queues) suts.merge(serving(queue, now));
    for (const auto& [id, by] : forbidden_)
        for (const auto& [sut, until] : by)
            if (const auto found = suts.find(sut); found != suts.end() && now < until) found->second.forbidden.insert(id);
    for (const auto& [id, sut] : plan_offers(jobs, suts)) {
        auto job = *book_->find(id);
        job.state = State::offered;
        job.sut = sut.str();
        ++job.number;
        job.reason.clear();
        if (!keep(job)) return;
        sys::crash_point("pool: offered, not sent");
        suts_[sut].last_used = ++used_;
        touched_[id] = {};
        send(session, job, "offer", now);
    }
}

/// What waits for a SUT's word.
void Pools::ask_again(mqtt::Session& session, SteadyTime now) {
    for (const auto& job : book_->open_jobs()) {
        if (job.state == State::waiting) continue;
        const auto sut = SutName::parse(job.sut);
        auto& touch = touched_[job.id];
        const bool here = sut && said_.contains(*sut) && !said_[*sut].agent.empty() && said_[*sut].agent != k_offline;
        if (job.state == State::offered) {
            if (touch.sent == SteadyTime{}) {
                send(session, job, "offer", now);  // of an earlier life
            } else if (now - touch.sent >= k_offer_limit) {
                if (sut) refuse(*sut, "no answer to an offer", now);
                send(session, job, "withdraw", now);
                put_back(job, job.sut + " did not answer");
            }
        } else {
            if (sut && !touch.watched) touch.watched = session.subscribe({topics_.job(*sut, job.id.str()), 1, true}).has_value();
            const auto again = touch.confirmed && !job.cancel ? k_ask_again : k_grant_again;
            if (touch.sent != SteadyTime{} && !(here && now - touch.sent >= again)) continue;
            send(session, job, "grant", now);
            if (sut && job.cancel) send_cancel(session, *sut, job.id);
        }
    }
}

void Pools::tick(mqtt::Session& session, mqtt::Board& board, SteadyTime now) {
    due_.reset();
    if (!session.connected()) return;
    if (epoch_ != session.epoch()) {
        epoch_ = session.epoch();
        for (auto& [id, touch] : touched_) touch.watched = false;
    }
    answer(session);
    expire();
    ask_again(session, now);
    offer(session, now);
    forget_ended(session);
    std::erase_if(refusing_, [&](const SutName& sut) { return now >= said_[sut].refused_until && (changed(sut), true); });
    show(board, now);
    look_back(session, now);
    if (!book_->open_jobs().empty() || !refusing_.empty()) due_ = now + 1s;
    if (!to_show_.empty() || !left_.empty()) due_ = now + k_show_said;
}

void Pools::forget_ended(mqtt::Session& session) {
    std::erase_if(forbidden_, [this](const auto& one) {
        const auto job = book_->find(one.first);
        return !job || (job->state != State::waiting && job->state != State::offered);
    });
    for (auto at = touched_.begin(); at != touched_.end();) {
        const auto job = book_->find(at->first);
        if (job && job->state != State::ended && job->state != State::waiting) {
            ++at;
            continue;
        }
        if (const auto sut = job ? SutName::parse(job->sut) : Result<SutName>(fail(ErrorKind::not_found, "")); sut && at->second.watched)
            if (const auto gone = session.unsubscribe(topics_.job(*sut, at->first.str())); !gone) sys::log(sys::Level::debug, gone.error().message);
        at = touched_.erase(at);
    }
}

std::string Pools::topic_of(const PoolJob& job) const { return topics_.fleet_queue(job.queue, std::string(k_job) + job.id.str()); }

void Pools::show_queue(const std::string& queue, const std::vector<PoolJob>& open, const std::vector<PoolJob>& ended, mqtt::Board& board, SteadyTime now) {
    const auto status = topics_.fleet_queue(queue, k_status);
    const auto serves = serving(queue, now);
    if (serves.empty() && open.empty()) {
        last_answer_.erase(queue);
        if (!board.get(status).empty()) board.clear(status);
    } else {
        const auto answered = last_answer_.find(queue);
        board.set(status, encode_queue_status(queue, open, serves, answered == last_answer_.end() ? std::string() : answered->second, sys::wall_now()));
    }
    const auto why_waits = serves.empty() ? "no SUT serves the queue any more" : why_none(serves);
    std::set<std::string> shown;
    std::size_t position = 0;
    for (const auto& job : open) {
        const bool granted = job.state == State::granted;
        if (!granted) ++position;
        const auto found = touched_.find(job.id);
        const auto touch = found == touched_.end() ? Touch{} : found->second;
        auto wait = job.cancel ? "canceled; waiting for " + job.sut : touch.confirmed ? std::string() : "waiting for " + job.sut;
        if (!touch.trouble.empty()) wait = "waiting for " + job.sut + ", which is gone: " + touch.trouble;
        board.set(*shown.insert(topic_of(job)).first, encode_queue_job(job, granted || position > k_positions_shown ? 0 : position, granted ? touch.shown : "", granted ? wait : why_waits));
    }
    for (const auto& job : ended) board.set(*shown.insert(topic_of(job)).first, encode_queue_job(job, 0, {}, {}));
    auto& before = shown_jobs_[queue];
    for (const auto& topic : before)
        if (!shown.contains(topic)) board.clear(topic);
    before = std::move(shown);
    if (before.empty()) shown_jobs_.erase(queue);
}

/// What an earlier life showed and this one does not, it cannot take back itself.
void Pools::look_back(mqtt::Session& session, SteadyTime now) {
    if (looked_back_) return;
    const std::array filters{topics_.fleet_queue("+", k_status), topics_.fleet_queue("+", std::string(k_job) + "+")};
    const auto log = [](const Result<void>& done) {
        if (!done) sys::log(sys::Level::debug, done.error().message);
    };
    if (std::exchange(look_back_epoch_, epoch_) != epoch_) {
        look_back_until_ = now + k_look_back;
        for (const auto& filter : filters) log(session.subscribe({filter, 1, true, false}));
    } else if (now >= look_back_until_) {
        looked_back_ = true;
        for (const auto& filter : filters) log(session.unsubscribe(filter));
    }
}

void Pools::hear_own(const std::string& topic, const std::string& payload) {
    if (!payload.empty()) left_.insert(topic);
}

/// A queue that is shown can be submitted to: nothing is before the first connection that hears submits.
void Pools::show(mqtt::Board& board, SteadyTime now) {
    if (intake_ && intake_->epoch() == 0) return;
    const auto revision = book_->revision();
    const bool jobs_changed = std::exchange(shown_revision_, revision) != revision;
    if (!jobs_changed && now < (to_show_.empty() && left_.empty() ? show_at_ + k_show_again : show_at_ + k_show_said)) return;
    show_at_ = now;
    std::map<std::string, std::vector<PoolJob>> open, ended;
    for (auto& job : book_->open_jobs()) open[job.queue].push_back(std::move(job));
    for (auto& job : book_->ended_jobs()) ended[job.queue].push_back(std::move(job));
    for (const auto* queues : {&open, &ended})
        for (const auto& [queue, jobs] : *queues) to_show_.insert(queue);
    for (const auto& [queue, topics] : shown_jobs_) to_show_.insert(queue);
    for (const auto& queue : std::exchange(to_show_, {})) show_queue(queue, open[queue], ended[queue], board, now);
    for (const auto& topic : std::exchange(left_, {}))
        if (board.get(topic).empty()) board.clear(topic);
}

}  // namespace sutfleet
