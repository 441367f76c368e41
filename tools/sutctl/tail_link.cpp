#include "tail_link.hpp"

#include <nlohmann/json.hpp>

#include "core/base64.hpp"
#include "screen.hpp"
#include "submission.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr auto k_answer_limit = 5s;

}  // namespace

TailLink::TailLink(const Topics& topics, const SutName& sut, std::string job)
    : command_(topics.command(sut, "tail")), topic_(topics.response(sut, "tail")), job_(std::move(job)) {}

Outcome<bool> TailLink::ask(Link& link, std::optional<std::uint64_t> offset, std::size_t bytes) {
    transaction_ = make_job_id();
    ordered_json argument{{"encoding", "base64"}};
    if (!job_.empty()) argument["job"] = job_;
    if (offset)
        argument["offset"] = *offset, argument["bytes"] = bytes;
    else
        argument["last"] = bytes;
    deadline_ = std::chrono::steady_clock::now() + k_answer_limit;
    return link.publish(command_, ordered_json{{"transaction", transaction_}, {"argument", argument}}.dump());
}

std::optional<Outcome<LogPiece>> TailLink::hear(const std::string& payload) try {
    const auto answer = json::parse(payload, nullptr, false);
    if (!deadline_ || !answer.is_object() || answer.value("transaction", json()) != transaction_) return std::nullopt;
    deadline_.reset();
    if (answer.value("status", "") != "ok")
        return Outcome<LogPiece>(tl::make_unexpected(Failure{k_refused, printable(answer.value("error", "refused"))}));
    const auto& data = answer.at("data");
    auto bytes = decode_base64(data.at("base64").get<std::string>());
    if (!bytes) return Outcome<LogPiece>(tl::make_unexpected(Failure{k_failed, "the answer is not base64"}));
    return Outcome<LogPiece>(LogPiece{*std::move(bytes), data.at("offset").get<std::uint64_t>(), data.at("end").get<std::uint64_t>(),
                                      data.at("boot").get<std::string>()});
} catch (const json::exception&) {
    deadline_.reset();
    return Outcome<LogPiece>(tl::make_unexpected(Failure{k_failed, "the answer to a question for the log has another form"}));
}

}  // namespace sutfleet::ctl
