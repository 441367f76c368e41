// The subcommands that look once at retained topics and print: jobs, job.

#include <algorithm>

#include "commands.hpp"
#include "job_view.hpp"

namespace sutfleet::ctl {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

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

}  // namespace sutfleet::ctl
