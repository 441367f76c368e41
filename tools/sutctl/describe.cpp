// All that is known of one SUT: retained topics, and the conf from the supervisor, which alone has it.

#include "commands.hpp"
#include "describe_view.hpp"
#include "json_text.hpp"
#include "submission.hpp"
#include "sys/clock.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_conf_limit_time = 5s;

std::vector<mqtt::Subscription> subscriptions(const Topics& topics, const SutName& sut) {
    return {{topics.fleet_supervisor(), 1, true},    {topics.fleet_sut(sut.str()), 1, true},
            {topics.of(sut, k_agent), 1, true},      {topics.of(sut, k_state), 1, true},
            {topics.of(sut, k_jobs), 1, true},       {topics.fleet_response("conf"), 1, false}};
}

/// Retained topics into `out`. @return what the supervisor says of itself
Outcome<std::string> hear_retained(const Context& context, Link& link, const SutName& sut,
                                   SutDescription& out) {
    std::string supervisor;
    for (;;) {
        const auto heard = link.next(Clock::now() + 5s);
        if (heard.kind == Heard::Kind::interrupted)
            return tl::make_unexpected(Failure{k_interrupted, ""});
        if (heard.kind == Heard::Kind::lost)
            return tl::make_unexpected(Failure{k_unreachable, "the broker went away"});
        if (heard.kind != Heard::Kind::message) return supervisor;
        const auto& [topic, payload] = std::pair(heard.message.topic, heard.message.payload);
        if (payload.empty()) continue;
        if (topic == context.topics.fleet_supervisor()) supervisor = payload;
        if (topic == context.topics.fleet_sut(sut.str())) out.hear("report", payload);
        if (const auto at = context.topics.parse(topic)) out.hear(at->rest, payload);
    }
}

/// Asks the supervisor for the conf; that it gives none is told in the description.
Outcome<> ask_conf(const Context& context, Link& link, const SutName& sut, SutDescription& out) {
    const auto transaction = make_job_id();
    const auto sent = link.publish(context.topics.fleet_command("conf"),
                                   dump_json({{"transaction", transaction}, {"argument", sut.str()}}));
    if (!sent && sent.error().exit == k_interrupted) return tl::make_unexpected(sent.error());
    const auto deadline = Clock::now() + k_conf_limit_time;
    while (sent && *sent) {
        const auto heard = link.next(deadline);
        if (heard.kind == Heard::Kind::interrupted)
            return tl::make_unexpected(Failure{k_interrupted, ""});
        if (heard.kind == Heard::Kind::timeout || heard.kind == Heard::Kind::lost) break;
        if (heard.kind != Heard::Kind::message ||
            heard.message.topic != context.topics.fleet_response("conf"))
            continue;
        const auto answer = parse_json(heard.message.payload);
        if (text_at(answer, {"transaction"}) != transaction) continue;
        if (text_at(answer, {"status"}) == "ok")
            out.set_conf(text_at(answer, {"data"}));
        else
            out.set_conf_error(text_at(answer, {"error"}));
        return {};
    }
    out.set_conf_error(sent ? "the supervisor gave no answer" : sent.error().message);
    return {};
}

}  // namespace

Outcome<int> describe(const Context& context) {
    const auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    auto link = Link::open(context.connection, subscriptions(context.topics, *sut), context.signals);
    if (!link) return tl::make_unexpected(link.error());
    SutDescription description(sut->str());
    const auto supervisor = hear_retained(context, **link, *sut, description);
    if (!supervisor) return tl::make_unexpected(supervisor.error());
    if (!description.known())
        return tl::make_unexpected(
            Failure{k_refused, "no SUT '" + sut->str() + "' is known here: `sutctl ps` lists them"});
    if (*supervisor == "online") {
        if (auto asked = ask_conf(context, **link, *sut, description); !asked)
            return tl::make_unexpected(asked.error());
    } else {
        description.set_conf_error("the supervisor is " +
                                   (supervisor->empty() ? std::string("not there") : *supervisor));
    }
    if (context.options.json)
        context.screen.line(description.json());
    else
        context.screen.print(description.text(context.screen, sys::wall_now()));
    return k_ok;
}

}  // namespace sutfleet::ctl
