// The parts by which an agent judges its own subprocess: patterns, lines across chunks, standstill.

#include <doctest/doctest.h>

#include <random>

#include "core/heartbeat.hpp"
#include "core/one_line.hpp"
#include "line_watch.hpp"
#include "match/patterns.hpp"
#include "standstill.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;
using namespace std::string_view_literals;

namespace {

const SteadyTime k_start{std::chrono::hours{1}};

LineWatch::Rules rules(const std::vector<std::string>& unhealthy, const std::vector<std::string>& clear = {}) {
    return {unhealthy, *Patterns::compile(unhealthy), *Patterns::compile(clear)};
}

LineWatch watch(const std::vector<std::string>& unhealthy, const std::vector<std::string>& clear = {}) {
    LineWatch out;
    out.set_rules(rules(unhealthy, clear));
    return out;
}

bool found(LineWatch& lines, std::string_view bytes) {
    lines.take(bytes);
    return !lines.why().empty();
}

}  // namespace

TEST_CASE("patterns: found anywhere in a line, and it is said by which") {
    const auto patterns = *Patterns::compile({"panic", "^oops$", "(?i)fatal"});
    CHECK(patterns.find({"Kernel panic - not syncing"}) == 0);
    CHECK(patterns.find({"oops"}) == 1);
    CHECK_FALSE(patterns.find({"oops!"}));
    CHECK(patterns.find({"a FATAL error"}) == 2);
    CHECK_FALSE(patterns.find({"KERNEL PANIC"}));  // (?i) is of its own pattern
    CHECK_FALSE(patterns.find({""}));
    CHECK_FALSE(Patterns().find({"panic"}));
    CHECK((*Patterns::compile({"\\Qa|b", "c"})).find({"xc"}) == 1);  // all in one would not be a pattern
}

TEST_CASE("patterns: what RE2 does not know is refused with the reason") {
    for (const auto* bad : {"(", "a{2,1}", "*", "(?=x)", "\\1", "[z-a]", "\xff", "((((x{900}){900}){900}){900})"})
        CHECK_FALSE(Patterns::compile({"fine", bad}));
    CHECK(Patterns::compile({"(abc"}).error().message.find("missing )") != std::string::npos);
    CHECK_FALSE(Patterns::compile({std::string(Patterns::k_longest + 1, 'a')}));
    CHECK(Patterns::compile(std::vector<std::string>(Patterns::k_most, "a")));
    CHECK_FALSE(Patterns::compile(std::vector<std::string>(Patterns::k_most + 1, "a")));
}

TEST_CASE("patterns: of a part of a line, ^ and $ are not its ends") {
    const auto patterns = *Patterns::compile({"^ab", "yz$"});
    CHECK(patterns.find({"ab", true, false}) == std::nullopt);  // the last byte is only context
    CHECK(patterns.find({"abc", true, false}) == 0);
    CHECK_FALSE(patterns.find({"xab", false, true}));
    CHECK_FALSE(patterns.find({"xyzx", true, false}));
    CHECK(patterns.find({"xyz", false, true}) == 1);
    CHECK_FALSE(patterns.find({"", false, false}));
}

TEST_CASE("a line is found however it is cut into chunks") {
    const std::string text = "one\ntwo bad three\r\nfour\n";
    for (std::size_t size = 1; size <= text.size(); ++size) {
        auto lines = watch({"^two bad three$"});
        for (std::size_t at = 0; at < text.size(); at += size) lines.take(std::string_view(text).substr(at, size));
        CHECK(lines.why() == "the output matches '^two bad three$': two bad three");
    }
    auto lines = watch({"one.*two", "one\\s+two"});
    CHECK_FALSE(found(lines, "one\ntwo\n"));
}

TEST_CASE("clear_on clears it; the first reason stays until then; one line with both does not clear") {
    auto lines = watch({"bad"}, {"good"});
    CHECK_FALSE(found(lines, "good\n"));
    CHECK(found(lines, "bad 1\nbad 2\n"));
    CHECK(lines.why() == "the output matches 'bad': bad 1");
    CHECK(found(lines, "good and bad\n"));
    CHECK_FALSE(found(lines, "all good\n"));
    CHECK(found(lines, "bad\n"));
    lines.restart();
    CHECK(lines.why().empty());
}

TEST_CASE("a line that is not finished counts once it is quiet") {
    auto lines = watch({"panic"}, {"login: $"});
    CHECK_FALSE(found(lines, "kernel pan"));
    CHECK(lines.waits());
    lines.quiet();
    CHECK_FALSE(lines.waits());
    CHECK_FALSE(found(lines, "ic"));
    lines.quiet();
    CHECK_FALSE(lines.why().empty());
    CHECK(found(lines, "\nalpha login: "));
    lines.quiet();
    CHECK(lines.why().empty());
    lines.take("panic");
    lines.restart();
    CHECK_FALSE(found(lines, "\n"));
}

TEST_CASE("a very long line costs a window of memory, and is looked at to its end") {
    auto lines = watch({"needle"});
    const std::string filler(1'000'000, 'x');
    for (const std::size_t before : {0UL, LineWatch::k_window - 3, LineWatch::k_window, 5 * LineWatch::k_window - 1, 999'990UL}) {
        lines.restart();
        CHECK(found(lines, filler.substr(0, before) + "needle" + filler + "\n"));
        lines.restart();
        lines.take(filler.substr(0, before) + "nee");
        CHECK(found(lines, "dle\n"));
    }
    auto anchored = watch({"^x*$", "^xxx\\w", "x$"});
    CHECK_FALSE(found(anchored, "-" + filler + "-\n"));
    CHECK(lines.why().size() < 460);
}

TEST_CASE("any bytes can be output") {
    auto lines = watch({"error.*code"});
    CHECK(found(lines, "\0\x1b[31merror\xff\xfe code\0 7\n"sv));
    CHECK(lines.why() == "the output matches 'error.*code':   [31merror?? code  7");
    lines.restart();
    CHECK_FALSE(found(lines, "\n\n\r\n\xff\n"));
}

TEST_CASE("by chunks it is as by whole lines, whatever they are") {
    std::mt19937 random(7);
    const auto any = [&](unsigned below) { return static_cast<unsigned>(random() % below); };
    const std::vector<std::string> unhealthy{"ab+a$", "^ca"}, clear{"^b.*c", "cc"};
    for (int round = 0; round < 3000; ++round) {
        std::string text;
        for (auto size = any(60); size > 0; --size) text += "aabbc\n\r"[any(7)];
        text += '\n';
        auto whole = watch(unhealthy, clear), chunks = watch(unhealthy, clear);
        for (std::size_t at = 0, end = 0; at < text.size(); at = end + 1) {
            end = text.find('\n', at);
            whole.take(text.substr(at, end - at + 1));
        }
        for (std::size_t at = 0, size = 0; at < text.size(); at += size) {
            size = 1 + any(9);
            chunks.take(std::string_view(text).substr(at, size));
        }
        CHECK(chunks.why() == whole.why());
    }
}

TEST_CASE("other patterns leave what was found by one that is still there") {
    auto lines = watch({"bad", "worse"});
    CHECK(found(lines, "worse\n"));
    lines.set_rules(rules({"worse", "worst"}));
    CHECK_FALSE(lines.why().empty());
    lines.set_rules(rules({"bad"}));
    CHECK(lines.why().empty());
}

TEST_CASE("one line of anything") {
    CHECK(one_line("a\tb\x1b[1m\n\x7f", 100) == "a b [1m  ");
    CHECK(one_line("\xc3\xa4\xff", 100) == "\xc3\xa4?");
    const std::string umlauts = "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4";
    for (std::size_t limit = 0; limit < 10; ++limit) {
        CHECK(one_line(umlauts, limit).size() <= limit);
        CHECK(is_utf8(one_line(umlauts, limit)));
    }
    CHECK(one_line("abcdefgh", 7) == "abcd…");
    CHECK_FALSE(is_utf8("\xed\xa0\x80"));
    CHECK_FALSE(is_utf8("\xc0\x80"));
    CHECK_FALSE(is_utf8("\xf4\x90\x80\x80"));
    CHECK(is_utf8("\xf0\x9f\x9a\x80"));
}

TEST_CASE("a standstill is counted while we look, not while we were away") {
    Standstill still;
    still.restart(k_start);
    auto now = k_start;
    for (int i = 0; i < 10; ++i) still.look(7, now += 1s);
    CHECK(still.length() == 9s);
    still.look(7, now += 24h);  // paused
    CHECK(still.length() == 9s);
    still.look(7, now += 1s);
    CHECK(still.length() == 10s);
    still.look(8, now += 1s);
    CHECK(still.length() == 0s);
    still.look(8, now - 1h);  // a clock that went back, if there were one
    CHECK(still.length() == 0s);
    still.look(8, now);
    still.restart(now);
    CHECK(still.length() == 0s);
}

TEST_CASE("what hangs is named, before what the agent says of itself") {
    constexpr std::int64_t s = 1'000'000'000;
    const Heartbeat fresh{100 * s, 100 * s, 100 * s, 20 * s, Health::ok, ""};
    const auto why = [&](auto change) {
        auto beat = fresh;
        change(beat);
        return judge(beat, 105 * s).why;
    };
    CHECK(judge(fresh, 105 * s).health == Health::ok);
    CHECK(why([](Heartbeat& b) { b.written_ns = 80 * s; }) == "no heartbeat for 25 s, allowed are 20 s");
    CHECK(why([](Heartbeat& b) { b.main_ns = 80 * s; }) == "the main loop has not moved for 25 s, allowed are 20 s");
    CHECK(why([](Heartbeat& b) { b.pump_ns = 80 * s; b.why = "x"; }) == "the output pump has not moved for 25 s, allowed are 20 s");
}
