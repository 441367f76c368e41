#include "handover.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "job/submitter_json.hpp"
#include "sys/crash_point.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::ordered_json;
using Word = JobBook::HandoverAnswer::Word;

constexpr std::array<std::string_view, 7> k_words{"offered", "granted", "withdrawn", "known", "refused", "unknown", "forbidden"};

}  // namespace

bool is_handover(std::string_view verb) { return verb == "offer" || verb == "grant" || verb == "withdraw"; }

Result<std::string> hand_over(JobBook& book, std::string_view verb, const std::string& payload, bool may_start, WallTime now) try {
    if (too_deep(payload)) return fail(ErrorKind::invalid_input, "too deep");
    const auto object = ordered_json::parse(payload);
    const auto id = JobId::parse(object.at("id").get<std::string>());
    if (!id) return fail(id.error());
    const auto number = integer_of<unsigned>(object.at("number"));
    const auto said = verb == "grant"      ? book.grant(*id, number, object.value("cancel", false), now)
                      : verb == "withdraw" ? book.withdraw(*id, number)
                                           : book.offer(object.at("queue").get<std::string>(), number,
                                                          object.at("job").get<std::string>(), may_start, now,
                                                          submitter_of(object.value("by", ordered_json::object())));
    if (!said) return fail(said.error());
    sys::crash_point("handover: journalled, not answered");
    return ordered_json{{"id", id->str()},
                        {"number", number},
                        {"word", k_words.at(static_cast<std::size_t>(said->word))},
                        {"why", said->why},
                        {"record", said->record ? ordered_json::parse(encode_job_record(*said->record)) : ordered_json(nullptr)}}
        .dump(-1, ' ', false, ordered_json::error_handler_t::replace);
} catch (const std::exception& error) {
    return fail(ErrorKind::invalid_input, "expected a JSON object with id, number and, for an offer, queue and job: " + std::string(error.what()));
}

}  // namespace sutfleet::agent
