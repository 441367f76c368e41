#include "pool/pool_report.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "job/submitter_json.hpp"

namespace sutfleet {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t k_whys_shown = 5;
constexpr std::chrono::seconds k_wait_step{10};  ///< of what is shown: a new message each second helps nobody

std::string dump(const ordered_json& value) { return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace); }
ordered_json text_or_null(const std::string& text) { return text.empty() ? ordered_json(nullptr) : ordered_json(text); }

}  // namespace

std::string encode_queue_status(const std::string& queue, const std::vector<PoolJob>& jobs, const std::map<SutName, PoolSut>& suts,
                                const std::string& said, WallTime now) {
    std::size_t length = 0;
    std::chrono::seconds oldest{0};
    ordered_json serves = ordered_json::array(), busy = ordered_json::object(), waiting = ordered_json::array();
    for (const auto& job : jobs) {
        if (job.state == PoolJob::State::granted) {
            busy[job.sut] = job.id.str();
            continue;
        }
        if (++length <= k_jobs_in_status) waiting.push_back(job.id.str());
        if (const auto at = parse_rfc3339(job.submitted)) oldest = std::max(oldest, std::chrono::duration_cast<std::chrono::seconds>(now - *at));
    }
    for (const auto& [sut, one] : suts) {
        serves.push_back(sut.str());
        if (!one.why.empty() && !busy.contains(sut.str())) busy[sut.str()] = one.why;
    }
    return dump({{"queue", queue},
                 {"length", length},
                 {"oldest_wait", (oldest / k_wait_step) * k_wait_step.count()},
                 {"serves", serves},
                 {"busy", busy},
                 {"waiting", waiting},
                 {"said", text_or_null(said)}});
}

std::string encode_queue_job(const PoolJob& job, std::size_t position, const std::string& state, const std::string& why) {
    const bool is_its_own = job.state == PoolJob::State::granted || job.state == PoolJob::State::ended;
    ordered_json out{{"id", job.id.str()},
                     {"queue", job.queue},
                     {"state", job.state == PoolJob::State::ended ? job.result : state.empty() ? "QUEUED" : state},
                     {"sut", is_its_own ? text_or_null(job.sut) : ordered_json(nullptr)},
                     {"position", position == 0 ? ordered_json(nullptr) : ordered_json(position)},
                     {"why", text_or_null(why)},
                     {"exit", job.exit ? ordered_json(*job.exit) : ordered_json(nullptr)},
                     {"reason", text_or_null(job.reason)},
                     {"command", job.command},
                     {"submitted", job.submitted},
                     {"finished", text_or_null(job.finished)}};
    if (!job.submitted_by.empty()) out["submitted_by"] = submitter_json(job.submitted_by);
    return dump(out);
}

std::string why_none(const std::map<SutName, PoolSut>& suts) {
    std::string out;
    std::size_t shown = 0;
    for (const auto& [sut, one] : suts) {
        if (one.why.empty() || ++shown > k_whys_shown) continue;
        out += (out.empty() ? "" : "; ") + sut.str() + " " + one.why;
    }
    if (shown > k_whys_shown) out += "; and " + std::to_string(shown - k_whys_shown) + " more";
    return out;
}

}  // namespace sutfleet
