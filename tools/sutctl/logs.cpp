#include "commands.hpp"
#include "job_view.hpp"
#include "output_printer.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_output_limit = 3s;

class Logs {
  public:
    Logs(const Context& context, SutName sut)
        : context_(context),
          sut_(std::move(sut)),
          printer_(context.screen, context.options.json, context.options.job) {}

    Outcome<int> run() {
        auto link = Link::open(context_.connection, subscriptions(), context_.signals);
        if (!link) return tl::make_unexpected(link.error());
        for (;;) {
            const auto heard = (*link)->next(Clock::now() + 1s);
            if (heard.kind == Heard::Kind::interrupted) return k_interrupted;
            if (heard.kind == Heard::Kind::lost)
                context_.screen.say("the broker is away; waiting for it");
            if (heard.kind == Heard::Kind::message) hear(heard.message);
            if (heard.kind == Heard::Kind::settled)
                if (auto go_on = settle(); !go_on || !context_.options.follow) return go_on;
            if (settled_ && finished()) return k_ok;
        }
    }

  private:
    [[nodiscard]] std::vector<mqtt::Subscription> subscriptions() const {
        const auto& topics = context_.topics;
        std::vector<mqtt::Subscription> out{{topics.of(sut_, k_output), 1, true},
                                            {topics.of(sut_, k_agent), 1, true}};
        if (!context_.options.job.empty())
            out.push_back({topics.job(sut_, context_.options.job), 1, true});
        return out;
    }

    void hear(const mqtt::Message& message) {
        if (message.topic == context_.topics.of(sut_, k_output)) {
            if (!printer_.is_of_job(message)) return;
            printed_ = true;
            quiet_since_ = Clock::now();
            printer_.print(message, settled_ ? std::nullopt : context_.options.tail);
        } else if (message.topic == context_.topics.of(sut_, k_agent)) {
            known_ = known_ || !message.payload.empty();
        } else {
            if (auto view = parse_job(message.payload)) record_ = std::move(view);
            quiet_since_ = Clock::now();
        }
    }

    /// All that is retained has been heard.
    Outcome<int> settle() {
        settled_ = true;
        if (!known_)
            return tl::make_unexpected(Failure{
                k_refused, "no SUT '" + sut_.str() + "' is known here: `sutctl ps` lists them"});
        if (!context_.options.job.empty() && !record_)
            return tl::make_unexpected(
                Failure{k_refused, sut_.str() + " has no job '" + context_.options.job + "'"});
        if (!printed_ && !context_.options.follow)
            context_.screen.say(
                "the broker keeps only the newest output, and there is none of this; follow what "
                "comes "
                "by -f, older output is in the SUT's log files");
        quiet_since_ = Clock::now();
        return k_ok;
    }

    [[nodiscard]] bool finished() const {
        return record_ && record_->ended() &&
               (printer_.complete(record_->log_bytes) ||
                Clock::now() >= quiet_since_ + k_output_limit);
    }

    const Context& context_;
    SutName sut_;
    OutputPrinter printer_;
    std::optional<JobView> record_;
    bool known_ = false;
    bool printed_ = false;
    bool settled_ = false;
    SteadyTime quiet_since_{};
};

}  // namespace

Outcome<int> logs(const Context& context) {
    auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    return Logs(context, *std::move(sut)).run();
}

}  // namespace sutfleet::ctl
