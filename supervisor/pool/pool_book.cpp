#include "pool/pool_book.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "job/content_digest.hpp"
#include "job/job_id.hpp"
#include "job/submit_request.hpp"
#include "sys/crash_point.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using nlohmann::json;

/// As an agent takes it: an object with an id.
Result<std::string> with_id(std::string_view payload, const JobRequest& request, const JobId& id) try {
    json object = payload.starts_with('{') ? json::parse(payload) : json{{"command", request.command}};
    object["id"] = id.str();
    return object.dump();
} catch (const std::exception&) {
    return fail(ErrorKind::invalid_input, "not UTF-8 text, which only a SUT itself takes");
}

}  // namespace

Result<std::unique_ptr<PoolBook>> PoolBook::open(const std::string& path) {
    std::unique_ptr<PoolBook> book(new PoolBook());
    auto journal = JobJournal::open(path, [&](std::uint64_t offset, const JournalEntry& entry) {
        const auto job = decode_pool_job(entry.record);
        if (!job) return sys::log(sys::Level::error, "a journal entry means nothing: " + job.error().message);
        auto& known = book->known_[job->id];
        if (!entry.request.empty()) known.request_at = offset;
        known.record_at = offset;
        book->remember(*job);
    });
    if (!journal) return fail(journal.error());
    book->journal_ = *std::move(journal);
    book->compact();
    return book;
}

void PoolBook::remember(const PoolJob& job) {
    ++revision_;
    sequence_ = std::max(sequence_, job.sequence);
    auto& known = known_[job.id];
    used_.insert(job.queue);
    known.content = job.content;
    known.sequence = job.sequence;
    if (job.state != PoolJob::State::ended) {
        open_.insert_or_assign(job.id, job);
        return;
    }
    open_.erase(job.id);
    std::erase_if(ended_, [&](const PoolJob& old) { return old.id == job.id; });
    ended_.push_front(job);
    if (ended_.size() > k_shown_pool_jobs) ended_.pop_back();
}

/// Leaves the newest entry of each id that is still remembered, and the payloads of those that have not ended.
void PoolBook::compact() {
    if (journal_->size() <= compact_above_) return;
    const auto done = sutfleet::compact(*journal_, known_, [&](const JobId& id, std::size_t younger, const std::string&) {
        if (open_.contains(id)) return Keep::all;
        return younger >= k_pool_ids ? Keep::nothing : Keep::record;
    });
    if (!done) sys::log(sys::Level::warn, "the journal of the queues stays as long as it is: " + done.error().message);
    compact_above_ = 2 * journal_->size() + k_pool_compact_from;
}

void PoolBook::accept(const std::string& queue, std::string_view payload, bool retained, const std::string& response_topic,
                      const std::string& correlation_data, WallTime now, const Submitter& submitter) {
    const std::scoped_lock lock(mutex_);
    auto answer = decide(queue, payload, retained, now, submitter);
    answer.response_topic = response_topic;
    answer.correlation_data = correlation_data;
    answers_.push_back(std::move(answer));
    sys::crash_point("pool: decided, not acknowledged");
}

PoolBook::Answer PoolBook::decide(const std::string& queue, std::string_view payload, bool retained, WallTime now,
                                  const Submitter& submitter) {
    const auto reject = [&](std::string why) { return Answer{Verdict::rejected, queue, std::move(why)}; };
    if (retained) return reject("the message was retained: publish it without the retain flag");
    const auto request = decode_submit(payload);
    if (!request) return reject(request.error().message);
    const auto digest = content_digest(queue + "\n" + request->json);
    if (request->id)
        if (const auto known = known_.find(*request->id); known != known_.end())
            return known->second.content == digest ? Answer{Verdict::known, queue, {}, request->id} : reject("id used: " + request->id->str());
    if (!served_.contains(queue)) return reject("no SUT serves the queue '" + queue + "'");
    const auto waiting = std::ranges::count_if(open_, [&](const auto& one) { return one.second.queue == queue; });
    if (std::cmp_greater_equal(waiting, k_pool_limit)) return reject("queue full");
    PoolJob job{.id = request->id ? *request->id : make_job_id(now)};
    const auto asked = with_id(payload, *request, job.id);
    if (!asked) return reject(asked.error().message);
    if (asked->size() > k_submit_limit) return reject("too large");  // as JSON, which is longer: no SUT would take it
    job.queue = queue;
    job.sequence = sequence_ + 1;
    job.priority = request->priority;
    job.command = shown_command(request->command);
    job.submitted_by = submitter;
    job.content = digest;
    job.submitted = format_rfc3339(now);
    if (request->expires) job.expires = format_rfc3339(now + *request->expires);
    const auto at = journal_->append({encode_pool_job(job), *asked});
    if (!at) return reject("cannot write the journal: " + at.error().message);
    known_[job.id].request_at = known_[job.id].record_at = *at;
    remember(job);
    const auto before = std::ranges::count_if(open_, [&](const auto& one) {
        return one.second.queue == queue && one.second.state == PoolJob::State::waiting && sooner(one.second, job);
    });
    return {Verdict::accepted, queue, {}, job.id, static_cast<std::size_t>(before) + 1};
}

std::vector<PoolBook::Answer> PoolBook::take_answers() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(answers_, {});
}

void PoolBook::serve(const std::string& queue, bool served) {
    const std::scoped_lock lock(mutex_);
    if (served)
        served_.insert(queue);
    else
        served_.erase(queue);
}

std::optional<PoolJob> PoolBook::look_up(const JobId& id) const {
    if (const auto found = open_.find(id); found != open_.end()) return found->second;
    for (const auto& job : ended_)
        if (job.id == id) return job;
    const auto known = known_.find(id);
    if (known == known_.end()) return std::nullopt;
    const auto entry = journal_->read(known->second.record_at);
    auto job = entry ? decode_pool_job(entry->record) : Result<PoolJob>(fail(entry.error()));
    return job ? std::optional(*std::move(job)) : std::nullopt;
}

std::optional<PoolJob> PoolBook::find(const JobId& id) const {
    const std::scoped_lock lock(mutex_);
    return look_up(id);
}

std::vector<PoolJob> PoolBook::open_jobs() const {
    const std::scoped_lock lock(mutex_);
    std::vector<PoolJob> out;
    for (const auto& [id, job] : open_) out.push_back(job);
    std::ranges::sort(out, sooner);
    return out;
}

std::vector<PoolJob> PoolBook::ended_jobs() const {
    const std::scoped_lock lock(mutex_);
    return {ended_.begin(), ended_.end()};
}

Result<std::string> PoolBook::payload(const JobId& id) const {
    const std::scoped_lock lock(mutex_);
    const auto known = known_.find(id);
    if (known == known_.end()) return fail(ErrorKind::not_found, "no such job");
    const auto entry = journal_->read(known->second.request_at);
    return entry ? Result<std::string>(entry->request) : fail(entry.error());
}

Result<void> PoolBook::update(const PoolJob& job) {
    const std::scoped_lock lock(mutex_);
    const auto at = journal_->append({encode_pool_job(job), {}});
    if (!at) return fail(at.error());
    known_[job.id].record_at = *at;
    if (job.state == PoolJob::State::ended) ++ended_counts_[job.result];
    remember(job);
    compact();
    return {};
}

PoolBook::Counts PoolBook::counts(WallTime now) const {
    const std::scoped_lock lock(mutex_);
    Counts out{{}, ended_counts_};
    for (const auto& queue : used_) out.queues[queue];
    for (const auto& [id, job] : open_) {
        auto& queue = out.queues[job.queue];
        if (job.state == PoolJob::State::granted) {
            ++queue.granted;
            continue;
        }
        ++queue.waiting;
        if (const auto at = parse_rfc3339(job.submitted)) queue.oldest_wait = std::max(queue.oldest_wait, std::chrono::duration_cast<std::chrono::seconds>(now - *at));
    }
    return out;
}

std::uint64_t PoolBook::revision() const {
    const std::scoped_lock lock(mutex_);
    return revision_;
}

}  // namespace sutfleet
