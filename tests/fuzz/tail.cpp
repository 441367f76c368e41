// What is asked for of a log is bounded and names no path, and any piece of a log makes an answer that is JSON.

#include "tail.hpp"

#include <nlohmann/json.hpp>

#include "core/base64.hpp"
#include "fuzz.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;

void fuzz(std::string_view text) {
    const auto request = decode_tail(text);
    if (!request) must(!request.error().message.empty());
    if (request) must(request->bytes <= k_tail_limit && (!request->job || JobId::parse(request->job->str()) == *request->job));
    for (const auto& asked : {TailRequest{}, TailRequest{{}, 7, k_tail_limit, false}, TailRequest{{}, 7, k_tail_limit, true}}) {
        const auto answer = nlohmann::json::parse(encode_tail({std::string(text), 7, 7 + text.size() + 1}, asked, "b"));
        const auto offset = answer["offset"].get<std::uint64_t>();
        must(offset >= 7 && offset + answer["bytes"].get<std::uint64_t>() <= 7 + text.size());
        must(!asked.offset || offset == 7);
        must(text.empty() || answer["bytes"] > 0 || !asked.offset);
        if (asked.exact) must(decode_base64(answer["base64"].get<std::string>()) == text);
    }
    if (const auto bytes = decode_base64(text)) must(encode_base64(*bytes) == text);
}
