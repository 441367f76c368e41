#include "job_book.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "job/content_digest.hpp"
#include "job/job_id.hpp"
#include "job_run.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::json;

std::uint64_t number_of(const std::string& digest) { return std::strtoull(digest.c_str(), nullptr, 16); }

bool by_sequence(const JobRecord& a, const JobRecord& b) { return a.sequence < b.sequence; }

/// Not what was offered here again since.
bool covers(const Withdrawal& one, const JobRecord& record) {
    return one.id == record.id && (!record.handover || !one.number || record.handover->number <= *one.number);
}

/// The order in which jobs start.
bool sooner(const JobRecord& a, const JobRecord& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.sequence < b.sequence;
}

}  // namespace

Result<std::unique_ptr<JobBook>> JobBook::open(const std::string& state_folder, const SutName& sut, WallTime now,
                                               std::chrono::milliseconds folders_kept) {
    const auto folder = state_folder + "/jobs";
    if (auto made = sys::make_folders(folder, 0755); !made) return fail(made.error());
    std::unique_ptr<JobBook> book(new JobBook(folder, sut, folders_kept));
    if (auto loaded = book->load(now); !loaded) return fail(loaded.error());
    return book;
}

Result<void> JobBook::load(WallTime now) {
    auto journal = JobJournal::open(folder_ + ".journal", [this](std::uint64_t offset, const JournalEntry& entry) {
        replay(offset, entry);
    });
    if (!journal) return fail(journal.error());
    journal_ = *std::move(journal);
    std::ranges::sort(done_, [](const auto& a, const auto& b) { return by_sequence(b, a); });
    sys::crash_point("book: read");
    const auto withdrawn = read_withdrawals(folder_.substr(0, folder_.rfind('/')));
    lose_running(withdrawn, now);
    sys::crash_point("book: what ran is lost");
    for (const auto& one : withdrawn) heed(one, now);
    compact(now);
    return {};
}

void JobBook::replay(std::uint64_t offset, const JournalEntry& entry) {
    const auto record = decode_job_record(entry.record);
    if (!record) {
        sys::log(sys::Level::error, "a journal entry means nothing: " + record.error().message);
        return;
    }
    sequence_ = std::max(sequence_, record->sequence);
    auto& known = known_[record->id];
    if (!entry.request.empty()) known.request_at = offset;
    known.record_at = offset;
    remember(*record);
    note_for_repeats(*record, !entry.request.empty());
}

/// What the texts of this life are compared with.
void JobBook::note_for_repeats(const JobRecord& record, bool accepted) {
    for (const auto* time : {&record.submitted, &record.started, &record.finished})
        if (const auto at = parse_rfc3339(*time)) repeats_.lived_at(*at);
    const auto at = parse_rfc3339(record.submitted);
    if (accepted && record.bare && at) repeats_.accepted({record.id, number_of(record.content), record.packet, *at, 0});
}

/// Puts the record where it belongs in memory.
void JobBook::remember(const JobRecord& record) {
    ++revision_;
    auto& known = known_[record.id];
    known.content = number_of(record.content);
    known.sequence = record.sequence;
    unclean_.erase(record.id);
    if (record.cleanup_due) unclean_.insert(record.id);
    if (!terminal(record.state)) {
        live_.insert_or_assign(record.id, record);
        return;
    }
    live_.erase(record.id);
    if (record.only_offered()) return;
    std::erase_if(done_, [&](const JobRecord& old) { return old.id == record.id; });
    done_.push_front(record);
    if (done_.size() <= k_shown_jobs) return;
    hidden_.push_front(done_.back().id);
    if (hidden_.size() > k_hidden_jobs) hidden_.pop_back();
    done_.pop_back();
}

/// What ran when the agent's earlier life ended.
void JobBook::lose_running(const std::vector<Withdrawal>& withdrawn, WallTime now) {
    std::vector<JobRecord> running;
    for (const auto& [id, record] : live_)
        if (record.state == JobState::running) running.push_back(record);
    for (auto& record : running) {
        const auto request = read_request(record.id);
        const FinishJob lost{JobState::lost, "the agent ended while the job ran", {}};
        const bool is_withdrawn = std::ranges::any_of(withdrawn, [&](const auto& one) { return covers(one, record); });
        if (!is_withdrawn && request && tries_again(request->retries, lost, record.attempt)) {
            queue_again(record, request->retries, lost, now);
        } else {
            record.state = lost.state;
            record.reason = lost.reason;
            record.finished = format_rfc3339(now);
        }
        record.cleanup_due = true;
        if (const auto written = write(record); !written) sys::log(sys::Level::error, written.error().message);
    }
}

/// What has not started is not this SUT's any more, what waits for another attempt has been told to be lost.
void JobBook::heed(const Withdrawal& withdrawal, WallTime now) {
    auto record = look_up(withdrawal.id);
    if (record && !terminal(record->state) && covers(withdrawal, *record)) {
        if (record->attempt == 1) {
            auto& handover = record->handover ? *record->handover : record->handover.emplace();
            handover.number = withdrawal.number.value_or(handover.number);
            handover.granted = false;
            record->state = JobState::rejected;
            record->reason = "withdrawn while this SUT was gone";
        } else {
            record->state = JobState::lost;
            record->reason = "told to be lost while this SUT was gone";
        }
        record->finished = format_rfc3339(now);
        if (const auto written = write(*std::move(record)); !written) return sys::log(sys::Level::error, written.error().message);
    }
    sys::crash_point("withdrawal: journalled");
    ::unlink(withdrawal.path.c_str());
    sys::crash_point("withdrawal: removed");
}

/// Leaves the newest entry of each id that is still remembered, and the requests of those that wait.
void JobBook::compact(WallTime now) {
    if (journal_->size() <= compact_above_ || !unwritten_.empty()) return;
    const auto oldest = format_rfc3339(now - folders_kept_ - k_ids_remembered_for);
    const auto done = sutfleet::compact(*journal_, known_, [&](const JobId& id, std::size_t younger, const std::string& text) {
        if (live_.contains(id) || unclean_.contains(id)) return Keep::all;
        const auto record = decode_job_record(text);
        const bool old = younger >= k_ids_remembered || (record && !record->finished.empty() && record->finished < oldest);
        if (!record) return Keep::nothing;
        return old && ::access(folder(id).c_str(), F_OK) != 0 ? Keep::nothing : Keep::record;
    });
    if (!done) sys::log(sys::Level::warn, "the journal stays as long as it is: " + done.error().message);
    compact_above_ = 2 * journal_->size() + k_compact_from;
}

std::string JobBook::folder(const JobId& id) const { return folder_ + "/" + id.str(); }

std::size_t JobBook::waiting() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        live_, [](const auto& entry) { return entry.second.state == JobState::queued && !entry.second.only_offered(); }));
}

JobBook::Answer JobBook::accept(std::string_view payload, bool retained, WallTime now, ReplyTo reply_to, const Arrival& arrival) {
    const std::scoped_lock lock(mutex_);
    auto answer = decide(payload, retained, now, arrival);
    answer.reply_to = std::move(reply_to);
    answers_.push_back(answer);
    sys::crash_point("submit: decided, not acknowledged");
    return answer;
}

JobBook::Answer JobBook::known_answer(const JobId& id) const {
    const auto record = look_up(id);
    return {Verdict::known, {}, id, record ? record->position : 0, {}};
}

JobBook::Answer JobBook::decide(std::string_view payload, bool retained, WallTime now, const Arrival& arrival) {
    const auto reject = [](std::string why) { return Answer{Verdict::rejected, std::move(why), {}, 0, {}}; };
    if (retained) return reject("the message was retained: publish it without the retain flag");
    auto request = decode_submit(payload);
    if (!request) return reject(request.error().message);
    const auto digest = content_digest(request->json);
    if (request->id) {
        if (const auto known = known_.find(*request->id); known != known_.end()) {
            const auto live = live_.find(*request->id);
            const bool only_offered = live != live_.end() && live->second.only_offered();
            if (only_offered || known->second.content != number_of(digest)) return reject("id used: " + request->id->str());
            return known_answer(*request->id);
        }
    }
    if (const auto permitted = permit(policy_, *request); !permitted) return reject(permitted.error().message);
    Repeats::Verdict repeat;
    if (!request->id) repeat = repeats_.judge(number_of(digest), arrival, now, sys::steady_now());
    if (repeat.kind == Repeats::Kind::redelivery) return known_answer(*repeat.of);
    if (repeat.kind == Repeats::Kind::repeat) return reject("duplicate of " + repeat.of->str());
    if (!refuse_all_.empty()) return reject(refuse_all_);
    if (waiting() >= k_queue_limit) return reject("queue full");
    const auto id = request->id ? *request->id : make_job_id(now);
    auto record = journal(*request, payload, id, now, arrival, repeat);
    if (!record) return reject("cannot write the journal: " + record.error().message);
    if (!request->id) repeats_.accepted({id, number_of(digest), arrival.packet, now, arrival.connection});
    newest_.emplace(id, *std::move(request));
    return {Verdict::accepted, {}, id, std::max<std::size_t>(record->position, 1), {}};
}

Result<JobRecord> JobBook::journal(const JobRequest& request, std::string_view payload, const JobId& id, WallTime now,
                                   const Arrival& arrival, const Repeats::Verdict& repeat) {
    JobRecord record{.id = id};
    record.sut = sut_.str();
    record.sequence = sequence_ + 1;
    record.priority = request.priority;
    record.command = shown_command(request.command);
    record.content = content_digest(request.json);
    record.submitted = format_rfc3339(now);
    record.bare = !request.id;
    record.submitted_by = arrival.submitter;
    record.packet = arrival.packet;
    if (repeat.of) record.repeat_of = repeat.of->str();
    if (request.expires) record.expires = format_rfc3339(now + *request.expires);
    record.position = 1 + static_cast<std::size_t>(std::ranges::count_if(live_, [&](const auto& other) {
        return other.second.state == JobState::queued && sooner(other.second, record);
    }));
    const bool starts = idle_ && waiting() == 0 && record.repeat_of.empty();
    if (starts) {
        record.state = JobState::running;
        record.position = 0;
        record.started = record.submitted;
        if (told_of_coming_) {
            {
                const std::scoped_lock lock(coming_mutex_);
                coming_.emplace(id, request);
            }
            told_of_coming_();
        }
    }
    const auto at = journal_->append({encode_job_record(record), std::string(payload)});
    if (!at) return fail(at.error());
    if (starts) {
        granted_ = id;
        idle_ = false;
    }
    ++sequence_;
    auto& known = known_[id];
    known.request_at = known.record_at = *at;
    remember(record);
    return record;
}

bool JobBook::has_possible_repeats() const {
    const std::scoped_lock lock(mutex_);
    return std::ranges::any_of(live_, [](const auto& entry) { return !entry.second.repeat_of.empty(); });
}

void JobBook::settle_repeats(std::optional<std::chrono::seconds> broker_uptime, WallTime now) {
    const std::scoped_lock lock(mutex_);
    const bool repeat = repeats_.broker_ran_for(broker_uptime, sys::steady_now());
    std::vector<JobRecord> held;
    for (const auto& [id, record] : live_)
        if (!record.repeat_of.empty()) held.push_back(record);
    for (auto& record : held)
        if (const auto settled = settle_repeat(std::move(record), repeat, now); !settled)
            sys::log(sys::Level::error, "the journal cannot be written: " + settled.error().message);
}

Result<void> JobBook::settle_repeat(JobRecord record, bool repeat, WallTime now) {
    const auto of = std::exchange(record.repeat_of, {});
    if (repeat) {
        record.state = JobState::rejected;
        record.reason = "duplicate of " + of;
        record.finished = format_rfc3339(now);
        answers_.push_back({Verdict::rejected, record.reason, record.id, 0, {}});
    }
    const auto written = write(std::move(record));
    return written ? Result<void>{} : fail(written.error());
}

void JobBook::refuse_all(std::string why) {
    const std::scoped_lock lock(mutex_);
    refuse_all_ = std::move(why);
}

void JobBook::set_policy(const SubmitPolicy& policy) {
    const std::scoped_lock lock(mutex_);
    policy_ = policy;
}

void JobBook::set_folders_kept(std::chrono::milliseconds kept) {
    const std::scoped_lock lock(mutex_);
    folders_kept_ = kept;
}

void JobBook::set_idle(bool idle) {
    const std::scoped_lock lock(mutex_);
    idle_ = idle && !granted_;
}

std::optional<JobRecord> JobBook::take_granted() {
    const std::scoped_lock lock(mutex_);
    [[maybe_unused]] const auto late = take_coming();  // whatever it was, it has been journalled or refused by now
    const auto id = std::exchange(granted_, std::nullopt);
    return id ? look_up(*id) : std::nullopt;
}

std::optional<std::pair<JobId, JobRequest>> JobBook::take_coming() {
    const std::scoped_lock lock(coming_mutex_);
    return std::exchange(coming_, std::nullopt);
}

std::vector<JobBook::Answer> JobBook::take_answers() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(answers_, {});
}

std::optional<JobRecord> JobBook::look_up(const JobId& id) const {
    if (const auto live = live_.find(id); live != live_.end()) return live->second;
    for (const auto& record : done_)
        if (record.id == id) return record;
    if (const auto unwritten = unwritten_.find(id); unwritten != unwritten_.end()) return unwritten->second;
    const auto known = known_.find(id);
    if (known == known_.end()) return std::nullopt;
    const auto entry = journal_->read(known->second.record_at);
    auto record = entry ? decode_job_record(entry->record) : Result<JobRecord>(fail(entry.error()));
    if (!record) return std::nullopt;
    return *std::move(record);
}

std::optional<JobRecord> JobBook::find(const JobId& id) const {
    const std::scoped_lock lock(mutex_);
    return look_up(id);
}

std::vector<JobRecord> JobBook::queued() const {
    const std::scoped_lock lock(mutex_);
    std::vector<JobRecord> out;
    for (const auto& [id, record] : live_)
        if (record.state == JobState::queued && !record.only_offered()) out.push_back(record);
    std::ranges::sort(out, sooner);
    return out;
}

std::optional<JobRecord> JobBook::last_started() const {
    const std::scoped_lock lock(mutex_);
    std::optional<JobRecord> last;
    const auto look = [&](const JobRecord& record) {
        if (!record.started.empty() && (!last || record.started > last->started)) last = record;
    };
    for (const auto& record : done_) look(record);
    for (const auto& [id, record] : live_) look(record);
    return last;
}

std::size_t JobBook::queued_count() const {
    const std::scoped_lock lock(mutex_);
    return waiting();
}

std::optional<JobRecord> JobBook::next(WallTime now) const {
    const auto text = format_rfc3339(now);
    const auto may_start = [&](const JobRecord& record) {
        return record.state == JobState::queued && record.not_before <= text && record.repeat_of.empty() && !record.only_offered();
    };
    const std::scoped_lock lock(mutex_);
    const JobRecord* first = nullptr;
    for (const auto& [id, record] : live_)
        if (may_start(record) && (first == nullptr || sooner(record, *first))) first = &record;
    if (first == nullptr) return std::nullopt;
    return *first;
}

void JobBook::expire(std::optional<std::chrono::milliseconds> longest_wait, WallTime now) {
    const auto text = format_rfc3339(now);
    const auto oldest = longest_wait ? format_rfc3339(now - *longest_wait) : std::string();
    const auto expired = [&](const JobRecord& record) { return !record.expires.empty() && record.expires <= text; };
    // A job that has run before waits for its next attempt: that is no wait for its first.
    const auto waited = [&](const JobRecord& record) { return record.attempt == 1 && record.submitted < oldest; };
    const auto oldest_offer = format_rfc3339(now - k_offer_life);
    const auto stale = [&](const JobRecord& record) { return record.only_offered() && record.handover->offered < oldest_offer; };
    std::vector<JobRecord> late;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [id, record] : live_)
            if (record.state == JobState::queued && (record.only_offered() ? stale(record) : expired(record) || waited(record))) late.push_back(record);
    }
    std::ranges::sort(late, sooner);
    for (auto& record : late) {
        record.reason = record.only_offered() ? "not granted" : expired(record) ? "not started until " + record.expires : "waited longer than timeouts.queue";
        record.state = JobState::expired;
        record.finished = text;
        if (const auto updated = update(std::move(record)); !updated) sys::log(sys::Level::error, updated.error().message);
    }
}

std::vector<JobRecord> JobBook::unclean() const {
    const std::scoped_lock lock(mutex_);
    std::vector<JobRecord> out;
    for (const auto& id : unclean_)
        if (auto record = look_up(id)) out.push_back(*std::move(record));
    std::ranges::sort(out, by_sequence);
    return out;
}

std::vector<JobRecord> JobBook::done() const {
    const std::scoped_lock lock(mutex_);
    return {done_.begin(), done_.end()};
}

std::vector<JobId> JobBook::hidden() const {
    const std::scoped_lock lock(mutex_);
    return {hidden_.begin(), hidden_.end()};
}

Result<JobRecord> JobBook::update(JobRecord record, JobJournal::Sync sync) {
    const std::scoped_lock lock(mutex_);
    auto written = write(std::move(record), sync);
    if (written) compact(sys::wall_now());
    return written;
}

Result<void> JobBook::settle() {
    const std::scoped_lock lock(mutex_);
    while (!unwritten_.empty()) {
        const auto& record = unwritten_.begin()->second;
        const auto at = journal_->append({encode_job_record(record), {}}, JobJournal::Sync::later);
        if (!at) return fail(at.error());
        known_[record.id].record_at = *at;
        unwritten_.erase(unwritten_.begin());
    }
    return journal_->settle();
}

Result<JobRecord> JobBook::write(JobRecord record, JobJournal::Sync sync) {
    ++record.version;
    if (record.state != JobState::queued) record.position = 0;
    remember(record);
    const auto at = journal_->append({encode_job_record(record), {}}, sync);
    if (!at) {
        unwritten_.insert_or_assign(record.id, std::move(record));
        return fail(at.error());
    }
    unwritten_.erase(record.id);
    known_[record.id].record_at = *at;
    return record;
}

/// What the journal cannot take is not given as a word.
Result<JobRecord> JobBook::promise(JobRecord record, const std::string& payload) {
    ++record.version;
    const auto at = journal_->append({encode_job_record(record), payload});
    if (!at) return fail(ErrorKind::transient, "cannot write the journal: " + at.error().message);
    unwritten_.erase(record.id);
    remember(record);
    auto& known = known_[record.id];
    known.record_at = *at;
    if (!payload.empty()) known.request_at = *at;
    return record;
}

/// An offer is for a SUT that has nothing to do.
std::string JobBook::why_no_offer(bool may_start) const {
    if (!refuse_all_.empty()) return refuse_all_;
    return may_start && live_.empty() ? std::string() : "busy";
}

Result<JobBook::HandoverAnswer> JobBook::offer(const std::string& queue, unsigned number, const std::string& payload, bool may_start, WallTime now,
                                               const Submitter& submitter) {
    using Word = HandoverAnswer::Word;
    const std::scoped_lock lock(mutex_);
    const auto request = decode_submit(payload);
    if (!request || !request->id) return HandoverAnswer{Word::forbidden, request ? "the job has no id" : request.error().message};
    const Handover handover{queue, number, false, format_rfc3339(now)};
    const auto record = look_up(*request->id);
    if (record && record->content != content_digest(request->json)) return HandoverAnswer{Word::forbidden, "id used: " + record->id.str()};
    if (record && !record->only_offered()) return HandoverAnswer{Word::known, {}, record};
    if (const auto permitted = permit(policy_, *request); !permitted) return HandoverAnswer{Word::forbidden, permitted.error().message, record};
    if (record && number < record->handover->number) return HandoverAnswer{Word::refused, "offered with a higher number since", record};
    if (record && number == record->handover->number && !terminal(record->state)) return HandoverAnswer{Word::offered, {}, record};
    if (record && number == record->handover->number) return HandoverAnswer{Word::refused, "that offer has ended: " + record->reason, record};
    if (!record || terminal(record->state))
        if (const auto why = why_no_offer(may_start); !why.empty()) return HandoverAnswer{Word::refused, why};
    auto offered = record.value_or(JobRecord{.id = *request->id});
    offered.submitted_by = submitter;
    return journal_offer(std::move(offered), *request, payload, handover);
}

Result<JobBook::HandoverAnswer> JobBook::journal_offer(JobRecord record, const JobRequest& request, const std::string& payload, Handover handover) {
    using Word = HandoverAnswer::Word;
    if (record.sequence == 0) record.sequence = ++sequence_;
    record.sut = sut_.str();
    record.state = JobState::queued;
    record.priority = request.priority;
    record.command = shown_command(request.command);
    record.content = content_digest(request.json);
    record.submitted = handover.offered;
    record.reason.clear();
    record.finished.clear();
    record.handover = std::move(handover);
    auto written = promise(std::move(record), payload);
    if (!written) return fail(written.error());
    newest_.emplace(written->id, request);
    return HandoverAnswer{Word::offered, {}, *std::move(written)};
}

Result<JobBook::HandoverAnswer> JobBook::grant(const JobId& id, unsigned number, bool cancel, WallTime now) {
    using Word = HandoverAnswer::Word;
    const std::scoped_lock lock(mutex_);
    auto record = look_up(id);
    if (!record) return HandoverAnswer{Word::unknown};
    if (!record->only_offered()) return HandoverAnswer{Word::known, {}, record};
    if (record->handover->number != number || terminal(record->state))
        return HandoverAnswer{Word::refused, "offered last with the number " + std::to_string(record->handover->number) + ", " + std::string(to_string(record->state)), record};
    record->handover->granted = true;
    if (cancel) {
        record->state = JobState::canceled;
        record->reason = "canceled before it started";
        record->finished = format_rfc3339(now);
    }
    const auto written = promise(*record);
    if (!written) return fail(written.error());
    return HandoverAnswer{Word::granted, {}, *written};
}

Result<JobBook::HandoverAnswer> JobBook::withdraw(const JobId& id, unsigned number) {
    using Word = HandoverAnswer::Word;
    const std::scoped_lock lock(mutex_);
    auto record = look_up(id);
    if (!record) return HandoverAnswer{Word::unknown};
    if (!record->only_offered()) return HandoverAnswer{Word::known, {}, record};
    if (number < record->handover->number) return HandoverAnswer{Word::refused, "offered with a higher number since", record};
    if (number == record->handover->number && terminal(record->state)) return HandoverAnswer{Word::withdrawn, {}, record};
    record->handover->number = number;
    record->state = JobState::rejected;
    record->reason = "withdrawn";
    const auto written = promise(*std::move(record));
    if (!written) return fail(written.error());
    return HandoverAnswer{Word::withdrawn, {}, *written};
}

Result<JobRequest> JobBook::request(const JobId& id) const {
    const std::scoped_lock lock(mutex_);
    return read_request(id);
}

Result<JobRequest> JobBook::read_request(const JobId& id) const {
    if (newest_ && newest_->first == id) return newest_->second;
    const auto known = known_.find(id);
    if (known == known_.end()) return fail(ErrorKind::not_found, "no such job");
    const auto entry = journal_->read(known->second.request_at);
    return entry ? decode_submit(entry->request) : Result<JobRequest>(fail(entry.error()));
}

}  // namespace sutfleet::agent
