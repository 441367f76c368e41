// Whatever comes on the topics, sutctl shows it: no exception, no control character that could move a terminal's cursor.

#include <algorithm>

#include "describe_view.hpp"
#include "event_view.hpp"
#include "fuzz.hpp"
#include "job_view.hpp"
#include "json_text.hpp"
#include "output_printer.hpp"

using namespace sutfleet;
using namespace sutfleet::ctl;

void fuzz(std::string_view text) {
    static const Screen screen(Color::never, false, true);
    SutDescription description("alpha");
    for (const auto* level : {"report", "state", "jobs", "agent"}) description.hear(level, text);
    description.set_conf(std::string(text));
    const auto shown = description.text(screen, {});
    must(std::ranges::none_of(shown, [](unsigned char c) { return (c < 0x20 && c != '\n') || c == 0x7F; }));
    must(!parse_json(description.json()).is_discarded());
    if (const auto job = parse_job(std::string(text))) (void)job->summary();
    must(past_events("alpha", std::string(text)).size() <= 1000);
}
