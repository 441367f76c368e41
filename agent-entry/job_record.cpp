#include "job_record.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "job/submitter_json.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 9> k_states{"QUEUED",   "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT",
                                                   "CANCELED", "LOST",    "REJECTED",  "EXPIRED"};

ordered_json text_or_null(const std::string& text) { return text.empty() ? ordered_json(nullptr) : ordered_json(text); }

std::string text_of(const ordered_json& from, const char* key) {
    const auto& value = from.at(key);
    return value.is_null() ? std::string() : value.get<std::string>();
}

template <class Int>
void take_number(const ordered_json& from, const char* key, Int& into) {
    into = integer_of<Int>(from.at(key));
}

ordered_json to_json(const Artifact& one) {
    return {{"name", one.name}, {"bytes", one.bytes}, {"sha256", text_or_null(one.sha256)}};
}

std::string dump(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

JobState state_of(const std::string& text) {
    for (std::size_t i = 0; i < k_states.size(); ++i)
        if (k_states[i] == text) return static_cast<JobState>(i);
    throw std::invalid_argument("unknown state");
}

}  // namespace

std::string_view to_string(JobState state) { return k_states.at(static_cast<std::size_t>(state)); }

bool terminal(JobState state) { return state != JobState::queued && state != JobState::running; }

std::size_t shown_size(const Artifact& artifact) {
    constexpr std::size_t k_hash = 66;
    return dump(to_json(artifact)).size() + k_hash;
}

std::string encode_job_record(const JobRecord& record) {
    ordered_json phases = ordered_json::object();
    for (const auto& [name, result] : record.phases)
        phases[name] = {{"exit", result.exit}, {"seconds", result.seconds}};
    ordered_json out{{"id", record.id.str()},
                           {"sut", record.sut},
                           {"state", to_string(record.state)},
                           {"version", record.version},
                           {"attempt", record.attempt},
                           {"position", record.position},
                           {"phase", text_or_null(record.phase)},
                           {"phases", std::move(phases)},
                           {"exit", record.exit ? ordered_json(*record.exit) : ordered_json(nullptr)},
                           {"reason", text_or_null(record.reason)},
                           {"command", record.command},
                           {"submitted", text_or_null(record.submitted)},
                           {"started", text_or_null(record.started)},
                           {"finished", text_or_null(record.finished)},
                           {"log_bytes", record.log_bytes},
                           {"dropped", record.dropped},
                           {"sequence", record.sequence},
                           {"content", record.content},
                           {"priority", record.priority}};
    if (!record.expires.empty()) out["expires"] = record.expires;
    if (!record.submitted_by.empty()) out["submitted_by"] = submitter_json(record.submitted_by);
    if (record.bare) out["bare"] = true;
    if (record.packet != 0) out["packet"] = record.packet;
    if (!record.repeat_of.empty()) out["repeat_of"] = record.repeat_of;
    if (record.cleanup_due) out["cleanup_due"] = true;
    if (const auto& from = record.handover)
        out["handover"] = {{"queue", from->queue}, {"number", from->number}, {"granted", from->granted}, {"offered", from->offered}};
    if (!record.not_before.empty()) out["not_before"] = record.not_before;
    if (record.estimate) out["estimate"] = *record.estimate;
    for (const auto& one : record.artifacts.list) out["artifacts"].push_back(to_json(one));
    if (record.artifacts.more > 0) out["artifacts_more"] = record.artifacts.more;
    return dump(out);
}

Result<JobRecord> decode_job_record(std::string_view text) try {
    const auto from = ordered_json::parse(text);
    auto id = JobId::parse(from.at("id").get<std::string>());
    if (!id) return fail(id.error());
    JobRecord out{.id = *std::move(id)};
    from.at("sut").get_to(out.sut);
    out.state = state_of(from.at("state").get<std::string>());
    take_number(from, "version", out.version);
    take_number(from, "attempt", out.attempt);
    take_number(from, "position", out.position);
    out.phase = text_of(from, "phase");
    for (const auto& [name, result] : from.at("phases").items())
        out.phases[name] = {integer_of<int>(result.at("exit")), result.at("seconds").get<double>()};
    if (!from.at("exit").is_null()) out.exit = integer_of<int>(from.at("exit"));
    out.reason = text_of(from, "reason");
    from.at("command").get_to(out.command);
    out.submitted = text_of(from, "submitted");
    out.started = text_of(from, "started");
    out.finished = text_of(from, "finished");
    take_number(from, "log_bytes", out.log_bytes);
    take_number(from, "dropped", out.dropped);
    take_number(from, "sequence", out.sequence);
    from.at("content").get_to(out.content);
    if (from.contains("priority")) out.priority = integer_of<int>(from.at("priority"));
    if (from.contains("expires")) out.expires = text_of(from, "expires");
    if (from.contains("submitted_by")) out.submitted_by = submitter_of(from.at("submitted_by"));
    out.bare = from.value("bare", false);
    if (from.contains("repeat_of")) out.repeat_of = text_of(from, "repeat_of");
    if (from.contains("artifacts"))
        for (const auto& one : from.at("artifacts"))
            out.artifacts.list.push_back({one.at("name").get<std::string>(), integer_of<std::uint64_t>(one.at("bytes")), text_of(one, "sha256")});
    if (from.contains("artifacts_more")) out.artifacts.more = integer_of<std::size_t>(from.at("artifacts_more"));
    if (from.contains("packet")) take_number(from, "packet", out.packet);
    if (from.contains("cleanup_due")) from.at("cleanup_due").get_to(out.cleanup_due);
    if (from.contains("handover")) {
        const auto& one = from.at("handover");
        out.handover = {one.at("queue").get<std::string>(), integer_of<unsigned>(one.at("number")), one.at("granted").get<bool>(), one.at("offered").get<std::string>()};
    }
    if (from.contains("not_before")) out.not_before = text_of(from, "not_before");
    return out;
} catch (const std::exception& error) {
    return fail(ErrorKind::invalid_input, std::string("job record: ") + error.what());
}

}  // namespace sutfleet::agent
