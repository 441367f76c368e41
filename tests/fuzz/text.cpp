#include "core/duration.hpp"
#include "core/heartbeat.hpp"
#include "core/ids.hpp"
#include "core/topics.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(data, size);
    static const Topics k_topics{"lab/"};
    if (const auto topic = k_topics.parse(text)) {
        must(SutName::parse(topic->sut.str()).has_value());
        must(k_topics.of(topic->sut, topic->rest) == text);
    }
    (void)k_topics.parse_fleet(text);
    if (const auto id = JobId::parse(text)) must(id->str() == text && text.find('/') == std::string_view::npos);
    if (const auto span = parse_duration(text)) must(*parse_duration(format_duration(*span)) == *span);
    if (const auto beat = decode_heartbeat(text)) {
        (void)judge(*beat, 1);
        must(decode_heartbeat(encode_heartbeat(*beat)).has_value());
    }
    return 0;
}
