// The fleet as a table, once or again whenever it changes.

#include <unistd.h>

#include <set>

#include "commands.hpp"
#include "fleet_view.hpp"
#include "sys/clock.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_clear_screen = "\033[H\033[2J";
/// A change is shown once nothing has come for so long, or at the latest after k_latest.
constexpr auto k_quiet = 50ms;
constexpr auto k_latest = 500ms;

std::vector<mqtt::Subscription> subscriptions(const Topics& topics) {
    return {{topics.fleet_supervisor(), 1, true},
            {topics.fleet_sut("+"), 1, true},
            {topics.of_all(k_agent), 1, true},
            {topics.of_all(k_state), 1, true},
            {topics.of_all(k_jobs), 1, true}};
}

std::string shown(const Context& context, const FleetView& fleet) {
    if (context.options.quiet) {
        std::string out;
        for (const auto& name : fleet.names()) out += name + "\n";
        return out;
    }
    return render_table(context.screen, fleet.table(sys::wall_now()));
}

void say_supervisor(const Context& context, const FleetView& fleet) {
    if (fleet.supervisor() == "online") return;
    context.screen.say(
        "the supervisor is " +
        (fleet.supervisor().empty() ? "not there" : printable(fleet.supervisor())) +
        ": containers and confs are as it last saw them");
}

/// Each change once: a line of --json that is new, else the whole table.
class Watcher {
  public:
    explicit Watcher(const Context& context) : context_(context) {}

    void show(const FleetView& fleet) {
        if (context_.options.json) return show_new_lines(fleet);
        auto text = shown(context_, fleet);
        if (text == last_) return;
        const bool redraws = ::isatty(STDOUT_FILENO) == 1;
        const std::string lead = redraws ? k_clear_screen : last_.empty() ? "" : "\n";
        context_.screen.print(lead + text);
        last_ = std::move(text);
    }

  private:
    void show_new_lines(const FleetView& fleet) {
        std::set<std::string> now;
        for (auto& line : fleet.json_lines()) {
            if (!lines_.contains(line)) context_.screen.line(line);
            now.insert(std::move(line));
        }
        lines_ = std::move(now);
    }

    const Context& context_;
    std::string last_;
    std::set<std::string> lines_;
};

int watch(const Context& context, Link& link, FleetView& fleet) {
    Watcher watcher(context);
    bool settled = false;
    auto show_at = Clock::now();
    auto changed_since = Clock::time_point::max();
    for (;;) {
        const auto heard = link.next(show_at);
        const auto now = Clock::now();
        switch (heard.kind) {
            case Heard::Kind::interrupted:
                return k_interrupted;
            case Heard::Kind::lost:
                context.screen.say("the broker is away; waiting for it");
                fleet.forget();
                show_at = changed_since = Clock::time_point::max();  // until there is something again
                break;
            case Heard::Kind::back:
                context.screen.say("the broker is back");
                break;
            case Heard::Kind::message:
                fleet.hear(heard.message.topic, heard.message.payload);
                changed_since = std::min(changed_since, now);
                show_at = std::min(now + k_quiet, changed_since + k_latest);
                break;
            case Heard::Kind::settled:
                settled = true;
                say_supervisor(context, fleet);
                show_at = now;
                break;
            case Heard::Kind::timeout:
                if (settled) watcher.show(fleet);
                changed_since = Clock::time_point::max();
                show_at = now + 1s;  // the times in it pass
                break;
        }
    }
}

}  // namespace

Outcome<int> ps(const Context& context) {
    FleetView fleet(context.topics);
    if (context.options.watch) {
        auto link =
            Link::open(context.connection, subscriptions(context.topics), context.signals);
        if (!link) return tl::make_unexpected(link.error());
        return watch(context, **link, fleet);
    }
    std::vector<std::string> filters;
    for (auto& each : subscriptions(context.topics)) filters.push_back(std::move(each.filter));
    const auto looked = look_once(context, filters, [&](const mqtt::Message& message) {
        fleet.hear(message.topic, message.payload);
    });
    if (!looked) return tl::make_unexpected(looked.error());
    if (context.options.json) {
        for (const auto& line : fleet.json_lines()) context.screen.line(line);
    } else {
        context.screen.print(shown(context, fleet));
    }
    say_supervisor(context, fleet);
    return k_ok;
}

}  // namespace sutfleet::ctl
