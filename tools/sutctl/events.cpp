// What the supervisor did: the past from its retained reports, then, if wanted, what comes.

#include <algorithm>
#include <limits>

#include "commands.hpp"
#include "event_view.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

class Teller {
  public:
    explicit Teller(const Context& context) : context_(context) {}

    void hear(const mqtt::Message& message) {
        if (message.payload.empty()) return;
        const auto rest = context_.topics.parse_fleet(message.topic);
        if (!rest) return;
        if (*rest == "supervisor") {
            if (context_.options.follow || message.payload != "online")
                context_.screen.say("the supervisor is " + printable(message.payload));
        } else if (*rest == "events") {
            hear_event(message.payload);
        } else if (rest->starts_with("sut/") && !settled_) {
            for (auto& event : past_events(std::string(rest->substr(4)), message.payload))
                if (wanted(event)) past_.push_back(std::move(event));
        }
    }

    /// All that is past has come.
    void settle() {
        settled_ = true;
        for (auto& event : waiting_) {
            const bool known = std::ranges::any_of(past_, [&](const EventView& each) {
                return each.at == event.at && each.sut == event.sut && each.action == event.action;
            });
            if (!known) past_.push_back(std::move(event));
        }
        const auto tail = context_.options.tail.value_or(std::numeric_limits<std::size_t>::max());
        for (const auto& event : in_order(std::move(past_), tail)) tell(event);
    }

  private:
    [[nodiscard]] bool wanted(const EventView& event) const {
        return context_.options.sut.empty() || event.sut == context_.options.sut;
    }

    void hear_event(const std::string& payload) {
        auto event = parse_event(payload);
        if (event.action.empty() || !wanted(event)) return;
        settled_ ? tell(event) : waiting_.push_back(std::move(event));
    }

    void tell(const EventView& event) const {
        context_.screen.line(context_.options.json ? event.json() : event.line(context_.screen));
    }

    const Context& context_;
    bool settled_ = false;
    std::vector<EventView> past_;
    std::vector<EventView> waiting_;  ///< came while the past was still coming
};

std::vector<mqtt::Subscription> subscriptions(const Context& context) {
    const auto& sut = context.options.sut;
    return {{context.topics.fleet_events(), 1, false},
            {context.topics.fleet_supervisor(), 1, true},
            {context.topics.fleet_sut(sut.empty() ? "+" : sut), 1, true}};
}

}  // namespace

Outcome<int> events(const Context& context) {
    if (!context.options.sut.empty())
        if (const auto sut = wanted_sut(context.options); !sut)
            return tl::make_unexpected(sut.error());
    auto link = Link::open(context.connection, subscriptions(context), context.signals);
    if (!link) return tl::make_unexpected(link.error());
    Teller teller(context);
    for (;;) {
        const auto heard = (*link)->next(Clock::now() + 1h);
        if (heard.kind == Heard::Kind::interrupted) return k_interrupted;
        if (heard.kind == Heard::Kind::message) teller.hear(heard.message);
        if (heard.kind == Heard::Kind::settled) {
            teller.settle();
            if (!context.options.follow) return k_ok;
        }
        if (heard.kind == Heard::Kind::lost) {
            if (!context.options.follow)
                return tl::make_unexpected(Failure{k_unreachable, "the broker went away"});
            context.screen.say("the broker is away; waiting for it");
        }
        if (heard.kind == Heard::Kind::back) context.screen.say("the broker is back");
    }
}

}  // namespace sutfleet::ctl
