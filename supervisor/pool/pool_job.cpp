#include "pool/pool_job.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/json_guard.hpp"
#include "job/submitter_json.hpp"

namespace sutfleet {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> k_states{"WAITING", "OFFERED", "GRANTED", "ENDED"};

PoolJob::State state_of(const std::string& text) {
    for (std::size_t i = 0; i < k_states.size(); ++i)
        if (k_states[i] == text) return static_cast<PoolJob::State>(i);
    throw std::invalid_argument("unknown state");
}

}  // namespace

std::string encode_pool_job(const PoolJob& job) {
    ordered_json out{{"id", job.id.str()},
                     {"queue", job.queue},
                     {"state", k_states.at(static_cast<std::size_t>(job.state))},
                     {"sequence", job.sequence},
                     {"priority", job.priority},
                     {"command", job.command},
                     {"submitted_by", submitter_json(job.submitted_by)},
                     {"content", job.content},
                     {"submitted", job.submitted},
                     {"expires", job.expires},
                     {"finished", job.finished},
                     {"sut", job.sut},
                     {"number", job.number},
                     {"result", job.result},
                     {"reason", job.reason},
                     {"exit", job.exit ? ordered_json(*job.exit) : ordered_json(nullptr)}};
    if (job.cancel) out["cancel"] = true;
    return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

Result<PoolJob> decode_pool_job(std::string_view text) try {
    const auto from = ordered_json::parse(text);
    auto id = JobId::parse(from.at("id").get<std::string>());
    if (!id) return fail(id.error());
    PoolJob out{.id = *std::move(id)};
    from.at("queue").get_to(out.queue);
    out.state = state_of(from.at("state").get<std::string>());
    out.sequence = integer_of<std::uint64_t>(from.at("sequence"));
    out.priority = integer_of<int>(from.at("priority"));
    from.at("command").get_to(out.command);
    out.submitted_by = submitter_of(from.value("submitted_by", ordered_json::object()));
    from.at("content").get_to(out.content);
    from.at("submitted").get_to(out.submitted);
    from.at("expires").get_to(out.expires);
    from.at("finished").get_to(out.finished);
    from.at("sut").get_to(out.sut);
    out.number = integer_of<unsigned>(from.at("number"));
    out.cancel = from.value("cancel", false);
    from.at("result").get_to(out.result);
    from.at("reason").get_to(out.reason);
    if (!from.at("exit").is_null()) out.exit = integer_of<int>(from.at("exit"));
    return out;
} catch (const std::exception& error) {
    return fail(ErrorKind::invalid_input, std::string("pool job: ") + error.what());
}

bool sooner(const PoolJob& a, const PoolJob& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.sequence < b.sequence;
}

}  // namespace sutfleet
