// What a command says, to an agent and to the supervisor; and a job that is handed over: every word is JSON, and what is
// journalled is read again.

#include <nlohmann/json.hpp>

#include "command_argument.hpp"
#include "core/one_line.hpp"
#include "core/timestamp.hpp"
#include "core/topics.hpp"
#include "fuzz.hpp"
#include "handover.hpp"
#include "metrics_server.hpp"
#include "report.hpp"
#include "scratch.hpp"

using namespace sutfleet;
using nlohmann::json;

namespace {

constexpr int k_book_life = 500;  ///< commands

void hand_over(std::string_view verb, const std::string& payload) {
    static const Scratch scratch;
    static std::unique_ptr<agent::JobBook> book;
    static int used = 0;
    const auto now = *parse_rfc3339("2026-01-01T00:00:00.000Z");
    if (used % 50 == 0) {  // another life
        book.reset();
        if (used >= k_book_life) std::filesystem::remove_all(scratch.path() + "/state"), used = 0;
        auto opened = agent::JobBook::open(scratch.path() + "/state", *SutName::parse("alpha"), now);
        must(opened.has_value());
        book = *std::move(opened);
    }
    ++used;
    const auto said = agent::hand_over(*book, verb, payload, true, now);
    if (!said) return must(!said.error().message.empty());
    const auto word = json::parse(*said);
    must(word.at("id").is_string() && word.at("word").is_string() && word.contains("record"));
    must(!book->next(now) || !book->next(now)->only_offered());
}

}  // namespace

void fuzz(std::string_view text) {
    const std::string payload(text);
    must(agent::command_argument(text).size() <= text.size());
    must(argument_of(payload).size() <= text.size());
    const auto transaction = agent::command_transaction(text);
    must(!json::parse(transaction, nullptr, false).is_discarded());
    const Topics topics;
    const auto answered_on = topics.answer_topic(payload, "alpha/res/x");
    must(answered_on.find_first_of("+#") == std::string::npos);
    if (const auto rest = topics.parse_fleet(answered_on)) must(rest->starts_with("res/"));
    if (const auto own = topics.parse(answered_on)) must(own->rest.starts_with("res/") || !is_own_level(own->rest.substr(0, own->rest.find('/'))));
    must(metrics_answer(payload, [] { return std::string("x"); }).starts_with("HTTP/1.1 "));
    for (const auto* verb : {"offer", "grant", "withdraw"}) hand_over(verb, payload);
    // No fuzzer finds a job in a text in JSON: the input as that, too.
    const json offer{{"id", "j1"}, {"number", text.size() % 7}, {"queue", "lab"}, {"job", as_utf8(text)}};
    hand_over("offer", offer.dump());
    hand_over("grant", json{{"id", "j1"}, {"number", text.size() % 5}}.dump());
}
