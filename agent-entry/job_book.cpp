#include "job_book.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <random>

#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::json;

constexpr std::size_t k_record_limit = 64 * 1024;
constexpr std::size_t k_job_json_limit = 4 * k_submit_limit;

/// What the commands find beside their work: the request, in both forms.
std::string job_json(const JobRequest& request, const JobId& id) {
    auto object = json::parse(request.json, nullptr, false);
    if (!object.is_object()) object = json::object();
    object["id"] = id.str();
    if (!object.contains("test_data") || !object["test_data"].is_object()) object["test_data"] = json::object();
    if (!request.command.empty()) object["test_data"]["test_cmds"] = request.command;
    if (!object.contains("command") || !object["command"].is_string()) object["command"] = request.command;
    return object.dump(1, ' ', false, json::error_handler_t::replace);
}

bool by_sequence(const JobRecord& a, const JobRecord& b) { return a.sequence < b.sequence; }

}  // namespace

Result<std::unique_ptr<JobBook>> JobBook::open(const std::string& state_folder, const SutName& sut,
                                               const std::string& now) {
    const auto folder = state_folder + "/jobs";
    if (auto made = sys::make_folders(folder, 0755); !made) return fail(made.error());
    std::unique_ptr<JobBook> book(new JobBook(folder, sut));
    if (auto loaded = book->load(now); !loaded) return fail(loaded.error());
    return book;
}

Result<void> JobBook::load(const std::string& now) {
    auto names = sys::list_folder(folder_);
    if (!names) return fail(names.error());
    for (const auto& name : *names) {
        const auto id = JobId::parse(name);
        if (!id) continue;
        // No record: the agent died before the submit was acknowledged, so the broker still has it.
        const auto text = sys::read_file(folder(*id) + "/record.json", k_record_limit);
        if (!text) continue;
        auto record = decode_job_record(*text);
        if (!record) {
            sys::log(sys::Level::error, "job=" + name + " its record cannot be read: " + record.error().message);
            continue;
        }
        sequence_ = std::max(sequence_, record->sequence);
        records_.insert_or_assign(*id, *record);
    }
    std::vector<JobRecord> running;
    for (const auto& [id, record] : records_)
        if (record.state == JobState::running) running.push_back(record);
    for (auto& record : running) {
        record.state = JobState::lost;
        record.reason = "the agent ended while the job ran" + (record.phase.empty() ? "" : " (" + record.phase + ")");
        record.finished = now;
        auto updated = update(record);
        if (!updated) return fail(updated.error());
        lost_.push_back(*updated);
    }
    return {};
}

std::string JobBook::folder(const JobId& id) const { return folder_ + "/" + id.str(); }

JobId JobBook::make_id(WallTime now) {
    // Sorts by time; 40 random bits tell apart what comes in the same millisecond.
    static std::mt19937_64 random{std::random_device{}()};
    constexpr std::string_view k_digits = "0123456789abcdefghjkmnpqrstvwxyz";
    auto ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
    std::string text(18, 'j');
    for (std::size_t i = 9; i > 0; --i, ms >>= 5) text[i] = k_digits[ms & 31];
    for (std::size_t i = 10; i < 18; ++i) text[i] = k_digits[random() & 31];
    return *JobId::parse(text);
}

std::size_t JobBook::waiting() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        records_, [](const auto& entry) { return entry.second.state == JobState::queued; }));
}

JobBook::Answer JobBook::accept(std::string_view payload, bool retained, WallTime now) {
    const std::scoped_lock lock(mutex_);
    auto answer = decide(payload, retained, now);
    answers_.push_back(answer);
    return answer;
}

JobBook::Answer JobBook::decide(std::string_view payload, bool retained, WallTime now) {
    const auto reject = [](std::string why) { return Answer{Verdict::rejected, std::move(why), {}, 0}; };
    if (retained) return reject("the message was retained: publish it without the retain flag");
    auto request = decode_submit(payload);
    if (!request) return reject(request.error().message);
    const auto digest = content_digest(request->json);
    if (request->id) {
        if (const auto known = records_.find(*request->id); known != records_.end()) {
            if (known->second.content != digest) return reject("id used: " + request->id->str());
            return {Verdict::known, {}, request->id, known->second.position};
        }
    }
    if (!refuse_all_.empty()) return reject(refuse_all_);
    if (waiting() >= k_queue_limit) return reject("queue full");
    const auto id = request->id ? *request->id : make_id(now);
    auto record = journal(*request, id, now);
    if (!record) return reject("cannot write the journal: " + record.error().message);
    return {Verdict::accepted, {}, id, record->position};
}

Result<JobRecord> JobBook::journal(const JobRequest& request, const JobId& id, WallTime now) {
    const auto place = folder(id);
    if (::mkdir(place.c_str(), 0755) != 0 && errno != EEXIST) return fail(errno_error(place, errno));
    if (::mkdir((place + "/artifacts").c_str(), 0755) != 0 && errno != EEXIST)
        return fail(errno_error(place, errno));
    const auto text = job_json(request, id);
    for (const auto* name : {"/testflinger.json", "/job.json"})
        if (auto written = sys::write_file_atomic(place + name, text, 0644, sys::Durability::fast); !written)
            return fail(written.error());
    if (auto written = sys::write_file_atomic(place + "/request.json", request.json, 0644, sys::Durability::durable);
        !written)
        return fail(written.error());
    JobRecord record{.id = id, .sut = sut_.str(), .sequence = ++sequence_, .position = waiting() + 1, .phase = {},
                     .phases = {}, .exit = {}, .reason = {}, .command = shown_command(request.command),
                     .content = content_digest(request.json), .submitted = format_rfc3339(now), .started = {},
                     .finished = {}};
    if (auto written = sys::write_file_atomic(place + "/record.json", encode_job_record(record), 0644,
                                              sys::Durability::durable);
        !written)
        return fail(written.error());
    if (auto synced = sys::sync_folder(folder_); !synced) return fail(synced.error());
    records_.insert_or_assign(id, record);
    return record;
}

void JobBook::refuse_all(std::string why) {
    const std::scoped_lock lock(mutex_);
    refuse_all_ = std::move(why);
}

std::vector<JobBook::Answer> JobBook::take_answers() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(answers_, {});
}

std::optional<JobRecord> JobBook::find(const JobId& id) const {
    const std::scoped_lock lock(mutex_);
    const auto found = records_.find(id);
    if (found == records_.end()) return std::nullopt;
    return found->second;
}

std::vector<JobRecord> JobBook::queued() const {
    const std::scoped_lock lock(mutex_);
    std::vector<JobRecord> out;
    for (const auto& [id, record] : records_)
        if (record.state == JobState::queued) out.push_back(record);
    std::ranges::sort(out, by_sequence);
    return out;
}

std::optional<JobRecord> JobBook::next() const {
    auto waiting_jobs = queued();
    if (waiting_jobs.empty()) return std::nullopt;
    return std::move(waiting_jobs.front());
}

std::vector<JobRecord> JobBook::done() const {
    const std::scoped_lock lock(mutex_);
    std::vector<JobRecord> out;
    for (const auto& [id, record] : records_)
        if (terminal(record.state)) out.push_back(record);
    std::ranges::sort(out, [](const auto& a, const auto& b) { return by_sequence(b, a); });
    if (out.size() > k_shown_jobs) out.erase(out.begin() + k_shown_jobs, out.end());
    return out;
}

Result<JobRecord> JobBook::update(JobRecord record) {
    ++record.version;
    if (record.state != JobState::queued) record.position = 0;
    if (auto written = sys::write_file_atomic(folder(record.id) + "/record.json", encode_job_record(record), 0644,
                                              sys::Durability::durable);
        !written)
        return fail(written.error());
    const std::scoped_lock lock(mutex_);
    records_.insert_or_assign(record.id, record);
    return record;
}

Result<JobRequest> JobBook::request(const JobId& id) const {
    const auto text = sys::read_file(folder(id) + "/request.json", k_job_json_limit);
    if (!text) return fail(text.error());
    return decode_journalled(*text);
}

}  // namespace sutfleet::agent
