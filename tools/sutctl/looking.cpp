// The subcommands that look once at retained topics and print: ps, jobs, job; and events, which
// goes on looking.

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "fleet_view.hpp"
#include "job_view.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::json;

/// Gives every retained message of the filters to `hear`.
Outcome<> look_once(const Context& context, const std::vector<std::string>& filters,
                    const std::function<void(const mqtt::Message&)>& hear) {
    std::vector<mqtt::Subscription> subscriptions;
    subscriptions.reserve(filters.size());
    for (const auto& filter : filters) subscriptions.push_back({filter, 1, true});
    auto link = Link::open(context.connection, std::move(subscriptions), context.signals);
    if (!link) return tl::make_unexpected(link.error());
    for (;;) {
        const auto heard = (*link)->next(Clock::now() + 5s);
        if (heard.kind == Heard::Kind::interrupted)
            return tl::make_unexpected(Failure{k_interrupted, ""});
        if (heard.kind == Heard::Kind::lost)
            return tl::make_unexpected(Failure{k_unreachable, "the broker went away"});
        if (heard.kind == Heard::Kind::message)
            hear(heard.message);
        else
            return {};
    }
}

std::string text_of(const json& object, const char* key) {
    if (!object.contains(key) || object[key].is_null()) return {};
    return object[key].is_string()
               ? object[key].get<std::string>()
               : object[key].dump(-1, ' ', false, json::error_handler_t::replace);
}

void show_event(const Screen& screen, const std::string& payload) {
    const auto event = json::parse(payload, nullptr, false);
    if (!event.is_object()) return screen.line(printable(payload));
    const auto error = text_of(event, "error");
    const auto result = text_of(event, "result");
    std::string line = printable(text_of(event, "at")) + "  " + printable(text_of(event, "sut")) +
                       "  " + printable(text_of(event, "action")) + "  " +
                       printable(text_of(event, "reason"));
    if (!result.empty())
        line += "  " + screen.paint(error.empty() ? Tone::good : Tone::bad, printable(result));
    if (!error.empty()) line += ": " + printable(error);
    screen.line(line);
}

}  // namespace

Outcome<int> ps(const Context& context) {
    const auto& topics = context.topics;
    FleetView fleet(topics);
    const auto looked = look_once(
        context,
        {topics.fleet_supervisor(), topics.fleet_sut("+"), topics.of_all(k_agent),
         topics.of_all(k_state), topics.of_all(k_jobs)},
        [&](const mqtt::Message& message) { fleet.hear(message.topic, message.payload); });
    if (!looked) return tl::make_unexpected(looked.error());
    if (context.options.json) {
        for (const auto& line : fleet.json_lines()) context.screen.line(line);
    } else if (context.options.quiet) {
        for (const auto& name : fleet.names()) context.screen.line(name);
    } else {
        context.screen.print(render_table(context.screen, fleet.table()));
    }
    if (fleet.supervisor() != "online")
        context.screen.say(
            "the supervisor is " +
            (fleet.supervisor().empty() ? "not there" : printable(fleet.supervisor())) +
            ": containers and confs are as it last saw them");
    return k_ok;
}

Outcome<int> jobs(const Context& context) {
    const auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    std::vector<std::pair<JobView, std::string>> found;
    bool known = false;
    const auto looked =
        look_once(context, {context.topics.of(*sut, k_agent), context.topics.job(*sut, "+")},
                  [&](const mqtt::Message& message) {
                      known = true;
                      if (message.payload.empty()) return;
                      if (auto view = parse_job(message.payload))
                          found.emplace_back(*std::move(view), message.payload);
                  });
    if (!looked) return tl::make_unexpected(looked.error());
    if (!known)
        return tl::make_unexpected(Failure{k_refused, "no SUT '" + sut->str() + "' is known here"});
    std::ranges::stable_sort(found, {}, [](const auto& each) { return each.first.submitted; });
    std::vector<JobView> views;
    for (auto& [view, text] : found) {
        if (context.options.json) context.screen.line(text);
        views.push_back(std::move(view));
    }
    if (!context.options.json) context.screen.print(render_table(context.screen, job_table(views)));
    return k_ok;
}

Outcome<int> job(const Context& context) {
    const auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    const auto id = JobId::parse(context.options.job);
    if (!id) return tl::make_unexpected(Failure{k_usage, id.error().message});
    std::string record;
    const auto looked = look_once(context, {context.topics.job(*sut, id->str())},
                                  [&](const mqtt::Message& message) { record = message.payload; });
    if (!looked) return tl::make_unexpected(looked.error());
    if (record.empty())
        return tl::make_unexpected(Failure{k_failed, sut->str() + " shows no job '" + id->str() +
                                                         "': `sutctl jobs " + sut->str() +
                                                         "` lists the newest"});
    context.options.json ? context.screen.line(record) : context.screen.print(describe_job(record));
    return k_ok;
}

Outcome<int> events(const Context& context) {
    auto link = Link::open(
        context.connection,
        {{context.topics.fleet_events(), 1, false}, {context.topics.fleet_supervisor(), 1, true}},
        context.signals);
    if (!link) return tl::make_unexpected(link.error());
    for (;;) {
        const auto heard = (*link)->next(Clock::now() + 1h);
        if (heard.kind == Heard::Kind::interrupted) return k_interrupted;
        if (heard.kind == Heard::Kind::lost)
            context.screen.say("the broker is away; waiting for it");
        if (heard.kind == Heard::Kind::back) context.screen.say("the broker is back");
        if (heard.kind != Heard::Kind::message || heard.message.payload.empty()) continue;
        if (heard.message.topic == context.topics.fleet_supervisor())
            context.screen.say("the supervisor is " + printable(heard.message.payload));
        else if (context.options.json)
            context.screen.line(heard.message.payload);
        else
            show_event(context.screen, heard.message.payload);
    }
}

}  // namespace sutfleet::ctl
