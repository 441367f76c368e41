#include <poll.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "submission.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr auto k_answer_limit = 10s;

struct Request {
    std::string to, answers, who;
    std::string alive;  ///< the topic that says `offline` when nobody will answer
    std::string argument;
    bool bare = false;
    bool waits = false;  ///< somebody else hears it, too, and who is offline hears it when it is back
};

/// What the supervisor takes behind the SUT's name.
std::string order_of(const Options& options) {
    return options.sut + (options.purge ? " --purge" : "") + (options.now ? " --now" : "");
}

/// A purge cannot be undone.
Outcome<bool> confirmed(const Context& context) {
    const auto& options = context.options;
    if (!options.purge || options.yes) return true;
    if (::isatty(STDIN_FILENO) != 1)
        return tl::make_unexpected(Failure{k_usage, "reset --purge removes all jobs and logs of " + printable(options.sut) +
                                                        ": expected --yes, as there is no terminal to ask on"});
    (void)sys::write_all(STDERR_FILENO, "The container of " + printable(options.sut) +
                                            " and its volumes, with all its jobs and logs, will be removed. Go on? [y/N] ");
    std::array<pollfd, 2> set{{{STDIN_FILENO, POLLIN, 0}, {context.signals.fd(), POLLIN, 0}}};
    while (::poll(set.data(), set.size(), -1) < 0 && errno == EINTR) {}
    if (set[1].revents != 0) return tl::make_unexpected(Failure{k_interrupted, ""});
    std::array<char, 16> answer{};
    const auto got = ::read(STDIN_FILENO, answer.data(), answer.size() - 1);
    return got > 0 && (answer.front() == 'y' || answer.front() == 'Y');
}

Outcome<Request> request_of(const Context& context) {
    const auto& verb = context.options.command;
    const auto& topics = context.topics;
    const Request fleet{topics.fleet_command(verb), topics.fleet_response(verb), "the supervisor",
                        topics.fleet_supervisor(),  order_of(context.options),   true};
    if (verb == "plan" || verb == "apply") return fleet;
    if (!context.options.queue.empty()) {
        auto queued = fleet;
        queued.argument = context.options.queue + " " + context.options.job;
        queued.bare = false;
        return queued;
    }
    const auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    if (verb == "reset" || verb == "restart") return fleet;
    const auto argument = context.options.dry_run  ? "dry-run"
                          : verb == "reinit" ? context.options.step
                                             : context.options.job;
    return Request{topics.command(*sut, verb), topics.response(*sut, verb), sut->str(),
                   topics.of(*sut, k_agent),   argument,                    false, verb == "resume"};
}

std::string text_of(const json& object, const char* key) {
    if (!object.contains(key) || object[key].is_null()) return {};
    return object[key].is_string()
               ? object[key].get<std::string>()
               : object[key].dump(-1, ' ', false, json::error_handler_t::replace);
}

/// The supervisor takes the bare name of a SUT; everything else is an object that names the
/// transaction.
std::string payload_of(const Request& request, const std::string& transaction) {
    if (request.bare && !request.argument.empty()) return request.argument;
    ordered_json payload{{"transaction", transaction}};
    if (!request.argument.empty()) payload["argument"] = request.argument;
    return payload.dump();
}

/// The answer to another's request bears another transaction.
bool is_ours(const json& answer, const std::string& transaction) {
    const auto theirs = text_of(answer, "transaction");
    return theirs.empty() || theirs == transaction;
}

Outcome<int> tell(const Context& context, const json& answer, const std::string& payload) {
    if (context.options.json) context.screen.line(payload);
    if (text_of(answer, "status") != "ok") {
        if (context.options.json) return k_refused;
        return tl::make_unexpected(Failure{k_refused, printable(text_of(answer, "error"))});
    }
    if (!context.options.json) {
        auto text = text_of(answer, "data");
        while (text.ends_with('\n')) text.pop_back();  // a plan is whole lines
        context.screen.line(text);
    }
    return k_ok;
}

Outcome<int> wait_for_answer(const Context& context, Link& link, const Request& request,
                             const std::string& transaction) {
    const auto deadline = Clock::now() + k_answer_limit;
    for (;;) {
        const auto heard = link.next(deadline);
        if (heard.kind == Heard::Kind::interrupted) return k_interrupted;
        if (heard.kind == Heard::Kind::timeout)
            return tl::make_unexpected(
                Failure{k_timed_out, request.who + " gave no answer in 10 s"});
        if (heard.kind != Heard::Kind::message || heard.message.topic != request.answers) continue;
        const auto answer = json::parse(heard.message.payload, nullptr, false);
        if (answer.is_object() && is_ours(answer, transaction))
            return tell(context, answer, heard.message.payload);
    }
}

Outcome<int> carry_out(const Context& context, const Request& request) {
    auto link =
        Link::open(context.connection, {{request.answers, 1, false}, {request.alive, 1, true}},
                   context.signals);
    if (!link) return tl::make_unexpected(link.error());
    std::string alive;
    for (auto heard = (*link)->next(Clock::now() + 5s); heard.kind == Heard::Kind::message;
         heard = (*link)->next(Clock::now() + 5s))
        if (heard.message.topic == request.alive) alive = heard.message.payload;
    if (alive.empty())
        return tl::make_unexpected(Failure{k_refused, request.who + " is not known here"});
    const bool offline = alive == k_offline;
    if (offline && !request.waits)
        return tl::make_unexpected(Failure{k_failed, request.who + " is offline"});
    const auto transaction = make_job_id();
    const auto sent = (*link)->publish(request.to, payload_of(request, transaction));
    if (!sent) return tl::make_unexpected(sent.error());
    if (!*sent)
        return tl::make_unexpected(Failure{
            k_unreachable, "the broker went away: whether it has the command is not known"});
    if (!offline) return wait_for_answer(context, **link, request, transaction);
    context.screen.line(context.options.json ? R"({"status":"sent"})"
                                             : request.who + " is offline: the supervisor lets it start again if that was held, and the agent takes jobs when it is back");
    return k_ok;
}

}  // namespace

Outcome<int> ask_supervisor(const Context& context, const std::string& verb, const std::string& argument) {
    const auto& topics = context.topics;
    return carry_out(context, {topics.fleet_command(verb), topics.fleet_response(verb), "the supervisor", topics.fleet_supervisor(), argument, true});
}

Outcome<int> control(const Context& context) {
    const auto request = request_of(context);
    if (!request) return tl::make_unexpected(request.error());
    const auto sure = confirmed(context);
    if (!sure) return tl::make_unexpected(sure.error());
    if (!*sure) return tl::make_unexpected(Failure{k_refused, "nothing was done"});
    return carry_out(context, *request);
}

}  // namespace sutfleet::ctl
