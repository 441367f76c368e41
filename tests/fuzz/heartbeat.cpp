// A heartbeat that is read is written again unchanged, and judged at any time without overflow.

#include "core/heartbeat.hpp"

#include <limits>

#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    const auto beat = decode_heartbeat(text);
    if (!beat) return;
    auto again = decode_heartbeat(encode_heartbeat(*beat));
    must(again.has_value() && encode_heartbeat(*again) == encode_heartbeat(*beat));
    again->why = beat->why;  // the writer cuts it to one line of a limited length
    must(again == beat);
    using Limits = std::numeric_limits<std::int64_t>;
    for (const auto now : {Limits::min(), std::int64_t{0}, beat->written_ns, Limits::max()}) {
        const auto verdict = judge(*beat, now);
        must(verdict.health == beat->health || verdict.health == Health::unhealthy);
    }
}
