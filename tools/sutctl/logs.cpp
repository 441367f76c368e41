#include <algorithm>
#include <deque>

#include "commands.hpp"
#include "job_view.hpp"
#include "output_printer.hpp"
#include "tail_link.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_output_limit = 3s;
constexpr std::size_t k_piece = 64 * 1024;
constexpr std::size_t k_held_limit = 256;  ///< messages of other streams that wait until the log was shown

/// Shows a log from the agent's file, and goes on with what comes on `<sut>/output`: by the offsets nothing is shown
/// twice, and what did not come is asked for. Without an agent there is only the newest batch, which the broker keeps.
class Logs {
  public:
    Logs(const Context& context, SutName sut)
        : context_(context),
          sut_(std::move(sut)),
          printer_(context.screen, context.options.json, context.options.job),
          tail_(context.topics, sut_, context.options.job) {}

    Outcome<int> run() {
        auto link = Link::open(context_.connection, subscriptions(), context_.signals);
        if (!link) return tl::make_unexpected(link.error());
        link_ = std::move(*link);
        while (!done_) {
            const auto heard = link_->next(std::min(Clock::now() + 1s, tail_.deadline().value_or(SteadyTime::max())));
            if (heard.kind == Heard::Kind::interrupted) return k_interrupted;
            if (auto went = take(heard); !went) return tl::make_unexpected(went.error());
            if (tail_.deadline() && Clock::now() >= *tail_.deadline() && link_->up())
                do_without_file("the agent gave no answer in 5 s");
            if (phase_ == Phase::live && finished()) break;
        }
        return k_ok;
    }

  private:
    /// What is retained; back from the end until there are enough lines; forward to the end; what comes.
    enum class Phase { settling, back, forward, live };

    [[nodiscard]] std::vector<mqtt::Subscription> subscriptions() const {
        const auto& topics = context_.topics;
        std::vector<mqtt::Subscription> out{{topics.of(sut_, k_output), 1, true}, {topics.of(sut_, k_agent), 1, true}, {tail_.topic(), 1, false}};
        if (!context_.options.job.empty()) out.push_back({topics.job(sut_, context_.options.job), 1, true});
        return out;
    }

    Outcome<> take(const Heard& heard) {
        if (heard.kind == Heard::Kind::lost) context_.screen.say("the broker is away; waiting for it");
        if (heard.kind == Heard::Kind::message) return hear(heard.message);
        if (heard.kind == Heard::Kind::settled) return settle();
        // Over a new connection: whatever was published meanwhile, or asked for, did not come.
        if (heard.kind == Heard::Kind::back && phase_ != Phase::settling && (has_file_ || tail_.deadline())) return go_on_reading();
        return {};
    }

    Outcome<> hear(const mqtt::Message& message) {
        if (message.topic == tail_.topic()) {
            auto answer = tail_.hear(message.payload);
            if (!answer) return {};
            if (*answer) return read(**std::move(answer));
            return do_without_file(answer->error().message), Outcome<>();
        }
        if (message.topic == context_.topics.of(sut_, k_agent)) {
            agent_ = message.payload.empty() ? agent_ : message.payload;
            if (behind_ && phase_ == Phase::live && agent_ != k_offline) return go_on_reading();
        } else if (message.topic == context_.topics.of(sut_, k_output)) {
            return hear_output(message);
        } else {
            if (auto view = parse_job(message.payload)) record_ = std::move(view);
            quiet_since_ = Clock::now();
            // The last of it may have come before we listened.
            if (phase_ == Phase::live && record_ && record_->ended() && has_file_ && !printer_.complete(record_->log_bytes)) return go_on_reading();
        }
        return {};
    }

    Outcome<> hear_output(const mqtt::Message& message) {
        if (!printer_.is_of_job(message)) return {};
        const bool of_file = is_of_file(message);
        if (phase_ != Phase::live) {
            if (!of_file || phase_ == Phase::settling) held_.push_back(message);
            if (held_.size() > k_held_limit) held_.pop_front();
            return {};
        }
        quiet_since_ = Clock::now();
        if (of_file && has_file_ && printer_.misses_some_before(message)) return go_on_reading();
        printer_.print(message);
        if (property(message, "job").empty() && context_.options.job.empty()) boot_ = property(message, "boot");
        return {};
    }

    /// Whether a message is of the log that is read from the file, in this life of the agent.
    [[nodiscard]] bool is_of_file(const mqtt::Message& message) const {
        const auto job = property(message, "job");
        if (!context_.options.job.empty()) return job == context_.options.job;
        return job.empty() && (boot_.empty() || property(message, "boot") == boot_);
    }

    /// All that is retained has been heard.
    Outcome<> settle() {
        if (agent_.empty())
            return tl::make_unexpected(Failure{k_refused, "no SUT '" + sut_.str() + "' is known here: `sutctl ps` lists them"});
        if (!context_.options.job.empty() && !record_)
            return tl::make_unexpected(Failure{k_refused, sut_.str() + " has no job '" + context_.options.job + "'"});
        quiet_since_ = Clock::now();
        if (record_ && record_->state == "QUEUED") {  // its log begins when it starts
            has_file_ = true;
            print({});
            return show_held();
        }
        if (agent_ == k_offline) return do_without_file(sut_.str() + " is offline"), Outcome<>();
        if (!context_.options.tail) return phase_ = Phase::forward, ask(0);
        phase_ = Phase::back;
        return ask({});
    }

    Outcome<> ask(std::optional<std::uint64_t> offset, std::size_t bytes = k_piece) {
        const auto sent = tail_.ask(*link_, offset, bytes);
        if (!sent && sent.error().exit == k_interrupted) return tl::make_unexpected(sent.error());
        if (!sent) do_without_file(sent.error().message);  // a user that only reads
        return {};  // without a broker: when it is back
    }

    Outcome<> go_on_reading() {
        behind_ = false;
        if (phase_ == Phase::back) {
            pieces_.clear();
            return ask({});
        }
        phase_ = Phase::forward;
        return ask(printer_.end(context_.options.job, boot_).value_or(0));
    }

    Outcome<> read(LogPiece piece) {
        has_file_ = true;
        if (boot_ != piece.boot && !boot_.empty() && context_.options.job.empty()) {
            // The agent has started anew, and offsets with it: from here on, what comes.
            boot_ = piece.boot;
            return show_held();
        }
        boot_ = piece.boot;
        if (phase_ == Phase::back) return read_back(std::move(piece));
        print(piece);
        return piece.next() < piece.end ? ask(piece.next()) : show_held();
    }

    Outcome<> read_back(LogPiece piece) {
        const auto before = piece.offset;
        // When what was asked for is gone, the answer begins later, and goes on into what is here.
        const auto known = pieces_.empty() ? piece.next() : pieces_.front().offset;
        const bool oldest = before == 0 || piece.next() > known;
        piece.bytes.resize(static_cast<std::size_t>(std::min(piece.next(), std::max(known, before)) - before));
        lines_ += static_cast<std::size_t>(std::ranges::count(piece.bytes, '\n'));
        const bool nothing = piece.bytes.empty();
        if (pieces_.empty() || !nothing) pieces_.push_front(std::move(piece));
        if (oldest || nothing || lines_ > *context_.options.tail) return show_last_lines();
        const auto bytes = std::min<std::uint64_t>(before, k_piece);
        return ask(before - bytes, static_cast<std::size_t>(bytes));
    }

    Outcome<> show_last_lines() {
        std::string text;
        std::uint64_t end = 0;
        for (auto& piece : pieces_) text += piece.bytes, end = piece.next();
        pieces_.clear();
        const auto others = printer_.lines_of(held_of_others(), *context_.options.tail);
        const auto shown = last_lines(text, *context_.options.tail - std::min(*context_.options.tail, others));
        print({std::string(shown), end - shown.size(), end, boot_});
        phase_ = Phase::forward;
        return show_held();
    }

    void print(const LogPiece& piece) {
        printer_.print(context_.options.job, piece.boot, piece.offset, piece.bytes);
    }

    [[nodiscard]] std::vector<mqtt::Message> held_of_others() const {
        std::vector<mqtt::Message> out;
        for (const auto& message : held_)
            if (context_.options.job.empty() && !property(message, "job").empty()) out.push_back(message);
        return out;
    }

    /// The file was shown to its end; then what other streams have sent, and what comes.
    Outcome<> show_held() {
        phase_ = Phase::live;
        quiet_since_ = Clock::now();
        for (const auto& message : held_of_others()) printer_.print(message, context_.options.tail);
        held_.clear();
        done_ = !context_.options.follow;
        return {};
    }

    void do_without_file(const std::string& why) {
        tail_.give_up();
        phase_ = Phase::live;
        if (has_file_ && context_.options.follow) {  // the question was lost with the broker: again at the agent's next word
            behind_ = true;
            return;
        }
        context_.screen.say(why + ": of its output there is what the broker keeps, the newest");
        for (const auto& message : held_) printer_.print(message, context_.options.tail);
        held_.clear();
        done_ = !context_.options.follow;
    }

    [[nodiscard]] bool finished() const {
        return record_ && record_->ended() && (printer_.complete(record_->log_bytes) || Clock::now() >= quiet_since_ + k_output_limit);
    }

    const Context& context_;
    SutName sut_;
    OutputPrinter printer_;
    TailLink tail_;
    std::unique_ptr<Link> link_;
    Phase phase_ = Phase::settling;
    bool has_file_ = false;
    bool behind_ = false;  ///< something may be in the file that was not asked for
    bool done_ = false;
    std::optional<JobView> record_;
    std::string agent_;  ///< what it says of itself
    std::string boot_;   ///< of the agent that the file was read from
    std::deque<mqtt::Message> held_;
    std::deque<LogPiece> pieces_;  ///< read backwards
    std::size_t lines_ = 0;
    SteadyTime quiet_since_{};
};

}  // namespace

Outcome<int> logs(const Context& context) {
    auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    return Logs(context, *std::move(sut)).run();
}

}  // namespace sutfleet::ctl
