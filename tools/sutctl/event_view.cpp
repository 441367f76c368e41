#include "event_view.hpp"

#include <algorithm>

#include "json_text.hpp"

namespace sutfleet::ctl {
namespace {

using nlohmann::ordered_json;

ordered_json or_null(const std::string& text) {
    return text.empty() ? ordered_json() : ordered_json(text);
}

}  // namespace

std::string EventView::line(const Screen& screen) const {
    auto out = printable(at) + "  " + printable(sut.empty() ? "-" : sut) + "  " +
               printable(action) + "  " + printable(reason);
    if (!result.empty())
        out += "  " + screen.paint(error.empty() ? Tone::good : Tone::bad, printable(result));
    if (!error.empty()) out += ": " + printable(error);
    if (times > 1) out += " (" + std::to_string(times) + " times)";
    for (std::string_view rest = output; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        out += "\n    " + printable(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return out;
}

std::string EventView::json() const {
    ordered_json out{{"at", at},
                      {"sut", or_null(sut)},
                      {"action", action},
                      {"reason", reason},
                      {"result", result},
                      {"error", or_null(error)},
                      {"times", times}};
    if (!output.empty()) out["output"] = output;
    return dump_json(out);
}

std::vector<EventView> past_events(const std::string& sut, std::string_view report) {
    std::vector<EventView> out;
    const auto object = parse_json(report);
    if (!object.is_object() || !object.contains("history") || !object["history"].is_array())
        return out;
    for (const auto& one : object["history"]) {
        EventView event;
        event.sut = sut;
        event.at = text_at(one, {"at"});
        event.action = text_at(one, {"what"});
        event.reason = text_at(one, {"why"});
        const auto result = text_at(one, {"result"});
        event.result = result == "ok" ? "ok" : "failed";
        if (result != "ok") event.error = result;
        if (one.is_object() && one.contains("times") && one["times"].is_number_unsigned())
            event.times = static_cast<unsigned>(
                std::min<std::uint64_t>(one["times"].get<std::uint64_t>(), 1'000'000'000));
        if (!event.action.empty()) out.push_back(std::move(event));
    }
    return out;
}

EventView parse_event(std::string_view payload) {
    const auto object = parse_json(payload);
    EventView event;
    event.at = text_at(object, {"at"});
    event.sut = text_at(object, {"sut"});
    event.action = text_at(object, {"action"});
    event.reason = text_at(object, {"reason"});
    event.result = text_at(object, {"result"});
    event.error = text_at(object, {"error"});
    event.output = text_at(object, {"output"});
    return event;
}

std::vector<EventView> in_order(std::vector<EventView> events, std::size_t tail) {
    std::ranges::stable_sort(events, {}, &EventView::at);  // RFC 3339 in UTC: the text's order
    if (events.size() > tail)
        events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(tail));
    return events;
}

}  // namespace sutfleet::ctl
