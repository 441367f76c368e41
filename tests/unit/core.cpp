#include <doctest/doctest.h>

#include "core/backoff.hpp"
#include "core/duration.hpp"
#include "core/heartbeat.hpp"
#include "core/ids.hpp"
#include "core/timestamp.hpp"
#include "core/topics.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

TEST_CASE("SUT names") {
    for (const std::string good : {"ab", "a1", "rack-7-board", "0x"}) CHECK(SutName::parse(good));
    CHECK(SutName::parse(std::string(63, 'a')));
    for (const std::string bad : {"", "a", "-ab", "ab-", "Ab", "a_b", "a b", "a/b", "..", "fleet", "broker", "supervisor"}) {
        CAPTURE(bad);
        CHECK_FALSE(SutName::parse(bad));
    }
    CHECK_FALSE(SutName::parse(std::string(64, 'a')));
}

TEST_CASE("job ids") {
    CHECK(JobId::parse("A-b_9"));
    CHECK(JobId::parse(std::string(64, 'a')));
    for (const std::string bad : {"", "-a", "_a", "a b", "a/..", "\xc3\xa4"}) CHECK_FALSE(JobId::parse(bad));
    CHECK_FALSE(JobId::parse(std::string(65, 'a')));
}

TEST_CASE("durations") {
    CHECK(*parse_duration("500ms") == 500ms);
    CHECK(*parse_duration("10s") == 10s);
    CHECK(*parse_duration("15m") == 15min);
    CHECK(*parse_duration("4h") == 4h);
    CHECK(*parse_duration("2d") == 48h);
    CHECK(*parse_duration("90") == 90s);
    CHECK(*parse_duration("1.5s") == 1500ms);
    for (const auto* bad : {"", "s", "-1s", "10 s", "10x", "inf", "nan", "1e9d", "0x10", "99999999d"}) {
        CAPTURE(bad);
        CHECK_FALSE(parse_duration(bad));
    }
    CHECK(format_duration(90s) == "90s");
    CHECK(format_duration(1h) == "1h");
    CHECK(format_duration(0s) == "0s");
}

TEST_CASE("backoff doubles to its cap") {
    constexpr BackoffPolicy policy{10s, 5min};
    CHECK(backoff(policy, 0) == 0s);
    CHECK(backoff(policy, 1) == 10s);
    CHECK(backoff(policy, 2) == 20s);
    CHECK(backoff(policy, 6) == 5min);
    CHECK(backoff(policy, 4'000'000'000U) == 5min);
    CHECK(with_full_jitter(10s, 0.5) == 5s);
}

TEST_CASE("times are RFC 3339 in UTC with milliseconds") {
    CHECK(format_rfc3339(WallTime{}) == "1970-01-01T00:00:00.000Z");
    CHECK(format_rfc3339(WallTime{1'700'000'000'123ms}) == "2023-11-14T22:13:20.123Z");
}

TEST_CASE("topics") {
    const auto sut = *SutName::parse("alpha");
    const Topics plain, lab("lab");
    CHECK(plain.of(sut, k_submit) == "alpha/submit");
    CHECK(lab.job(sut, "x") == "lab/alpha/job/x");
    CHECK(lab.fleet_sut("alpha") == "lab/fleet/sut/alpha");
    CHECK(plain.parse("alpha/cmd/cancel")->rest == "cmd/cancel");
    CHECK_FALSE(plain.parse("fleet/sut/alpha"));
    CHECK_FALSE(plain.parse("alpha"));
    CHECK_FALSE(plain.parse("alpha/"));
    CHECK_FALSE(lab.parse("alpha/agent"));
    CHECK(lab.parse_fleet("lab/fleet/cmd/plan") == "cmd/plan");
}

TEST_CASE("a heartbeat is read as it was written, and nothing else is") {
    const Heartbeat beat{30'000'000'000, 29'000'000'000, 28'000'000'000, 20'000'000'000, Health::degraded, "broker away"};
    const auto text = encode_heartbeat(beat);
    CHECK(decode_heartbeat(text) == beat);
    for (std::size_t size = 0; size < text.size(); ++size) CHECK_FALSE(decode_heartbeat(text.substr(0, size)));
    CHECK_FALSE(decode_heartbeat(text + "x"));
    auto newline = beat;
    newline.why = "two\nlines";
    CHECK(decode_heartbeat(encode_heartbeat(newline))->why == "two lines");
}

TEST_CASE("the verdict on a heartbeat") {
    const std::int64_t s = 1'000'000'000;
    const Heartbeat fresh{100 * s, 100 * s, 100 * s, 20 * s, Health::ok, ""};
    CHECK(judge(fresh, 120 * s) == HealthVerdict{Health::ok, ""});
    CHECK(judge(fresh, 121 * s).why == "no heartbeat for 21 s, allowed are 20 s");
    auto stuck = fresh;
    stuck.main_ns = 70 * s;
    CHECK(judge(stuck, 101 * s).why == "the main loop has not moved for 31 s, allowed are 20 s");
    stuck = fresh;
    stuck.pump_ns = 70 * s;
    CHECK(judge(stuck, 101 * s).why == "the output pump has not moved for 31 s, allowed are 20 s");
    auto degraded = fresh;
    degraded.health = Health::degraded;
    degraded.why = "broker away";
    CHECK(judge(degraded, 101 * s) == HealthVerdict{Health::degraded, "broker away"});
}

TEST_CASE("topics: an answer goes where it was asked for, unless it would be taken for a request or a report there") {
    const Topics topics("lab/");
    const auto to = [&](const std::string& wanted) { return topics.answer_topic(wanted, "usual"); };
    for (const auto* good : {"lab/alpha/res/x", "lab/fleet/res/submit/1", "my/answers", "lab/somebody/answers", "alpha/submit"}) CHECK(to(good) == good);
    for (const auto* bad : {"", "lab/alpha/submit", "lab/alpha/cmd/restart", "lab/alpha/agent", "lab/alpha/job/j1", "lab/fleet/cmd/apply", "lab/fleet/queue/q/submit",
                            "lab/fleet/state", "a/+/b", "#", "$SYS/x", "a\nb", "\xff"})
        CHECK(to(bad) == "usual");
    CHECK(to(std::string(1001, 'x')) == "usual");
}
