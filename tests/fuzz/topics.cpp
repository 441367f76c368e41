// A topic that parses is the one that its parts make; the same for names and ids of jobs.

#include "core/topics.hpp"

#include "core/duration.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    for (const auto* prefix : {"", "lab/7/"}) {
        const Topics topics(prefix);
        if (const auto parsed = topics.parse(text)) {
            must(topics.of(parsed->sut, parsed->rest) == text);
            must(!topics.parse_fleet(text));
        }
        if (const auto rest = topics.parse_fleet(text)) must(prefix + ("fleet/" + std::string(*rest)) == text);
    }
    if (const auto name = SutName::parse(text)) must(name->str() == text);
    if (const auto id = JobId::parse(text)) must(id->str() == text);
    if (const auto duration = parse_duration(text)) must(parse_duration(format_duration(*duration)) == *duration);
}
