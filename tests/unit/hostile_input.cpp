// Inputs that once broke a decoder.

#include <doctest/doctest.h>

#include <limits>

#include "conf/agent_conf.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "core/heartbeat.hpp"
#include "core/json_guard.hpp"
#include "docker_json.hpp"
#include "job/content_digest.hpp"
#include "job/journal.hpp"
#include "job/submit_request.hpp"
#include "job_record.hpp"
#include "private_broker.hpp"
#include "report.hpp"

using namespace sutfleet;

namespace {
std::string times(std::size_t count, std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < count; ++i) out += text;
    return out;
}
std::string replaced(std::string text, std::string_view what, std::string_view with) {
    return text.replace(text.find(what), what.size(), with);
}
bool accepted(const std::string& conf) { return decode_sut_conf(*SutName::parse("alpha"), conf).has_value(); }
}  // namespace

TEST_CASE("hostile: a heartbeat with extreme times is stale, not an overflow") {
    constexpr auto least = std::numeric_limits<std::int64_t>::min();
    CHECK(judge({.written_ns = least, .max_age_ns = 5, .why = {}}, 1).health == Health::unhealthy);
    CHECK(judge({.written_ns = 1, .main_ns = 1, .pump_ns = 1, .max_age_ns = 5, .why = {}}, least).health == Health::ok);
}

TEST_CASE("hostile: brackets within a text are no nesting, and hide none") {
    const auto job = decode_submit(times(100, "["));
    REQUIRE(job);
    REQUIRE(decode_submit(job->json));
    CHECK(decode_submit(job->json)->command == job->command);
    const auto hidden = "{\"command\":\"" + times(80'000, "]") + "\",\"context\":" + times(80'000, "[") + times(80'000, "]") + "}";
    CHECK_FALSE(decode_submit(hidden));
    CHECK_FALSE(too_deep(R"(["\"[", ")" + times(100, "[") + R"(\\"])"));
}

TEST_CASE("hostile: a deep transaction is not sent back") {
    const auto answer = encode_answer(std::string("x"), "{\"transaction\":" + times(1'000'000, "[") + times(1'000'000, "]") + "}");
    CHECK(answer.find("\"transaction\":null") != std::string::npos);
}

TEST_CASE("hostile: numbers that are not whole or do not fit are refused") {
    const AgentConf conf{*SutName::parse("alpha"), "s", "b", "", "1", {}};
    const auto json = encode_agent_conf(conf);
    REQUIRE(decode_agent_conf(json));
    for (const auto* number : {"1e300", "1.5", "18446744073709551615"})
        CHECK_FALSE(decode_agent_conf(replaced(json, "20000", number)));
    const std::string record =
        R"({"id":"a","sut":"b","state":"QUEUED","version":1,"attempt":1,"position":0,"phase":null,"phases":{},"exit":null,
            "reason":null,"command":"x","submitted":null,"started":null,"finished":null,"log_bytes":0,"dropped":0,
            "sequence":1,"content":""})";
    REQUIRE(agent::decode_job_record(record));
    CHECK_FALSE(agent::decode_job_record(replaced(record, "\"attempt\":1", "\"attempt\":-1")));
    CHECK_FALSE(docker::decode_cpus(R"({"NCPU":1e300})"));
    CHECK_FALSE(docker::decode_exec(R"({"Running":false,"ExitCode":1e300})"));
}

TEST_CASE("hostile: a NUL in a job's command, as an escape") {
    CHECK_FALSE(decode_submit(R"({"command":"a\u0000b"})"));
    CHECK_FALSE(decode_submit(R"({"test_data":{"test_cmds":["a\u0000b"]}})"));
}

TEST_CASE("hostile: a command for an agent is never empty") {
    AgentConf conf{*SutName::parse("alpha"), "s", "b", "", "1", {}};
    conf.rules.phases["test"] = {};
    CHECK_FALSE(decode_agent_conf(encode_agent_conf(conf)));
}

TEST_CASE("hostile: conf with characters that no program would see as written") {
    CHECK_FALSE(accepted("env: {A: \"a\\0b\"}"));
    CHECK_FALSE(accepted("env: {A: \xed\xa0\x80}"));
    CHECK_FALSE(accepted("env: {A: \xe0\x80\x80}"));
    CHECK_FALSE(accepted("env: {A: \xf4\x90\x80\x80}"));
    CHECK(accepted("env: {A: \xf0\x9f\x9a\x80}"));
}

TEST_CASE("hostile: conf with many keys left out tells a limited number of errors") {
    const auto got = decode_sut_conf(*SutName::parse("alpha"), "env: {a: b" + times(1000, ",") + "}");
    REQUIRE_FALSE(got);
    CHECK(got.error().size() == k_conf_errors);
}

TEST_CASE("hostile: conf with a long chain of aliases") {
    std::string conf = "labels: [&a0 []";
    for (int i = 1; conf.size() < k_conf_limit - 100; ++i)
        conf += ",&a" + std::to_string(i) + " [*a" + std::to_string(i - 1) + "]";
    const auto got = decode_sut_conf(*SutName::parse("alpha"), conf + "]\n");
    REQUIRE_FALSE(got);
    CHECK(got.error().front().message == "too many anchors in one conf");
}

TEST_CASE("hostile: a journal takes nothing that it could not read again") {
    const test::TempFolder folder;
    auto journal = *JobJournal::open(folder.path() + "/j", [](std::uint64_t, const JournalEntry&) {});
    REQUIRE(journal->append({"{}", "first"}));
    CHECK_FALSE(journal->append({std::string(70'000, 'x'), {}}));
    CHECK_FALSE(journal->append({"{}", std::string(k_submit_limit + 1, 'x')}));
    // A text that looks like an entry of its own is still a part of its entry.
    const auto inner = encode_journal_entry({"{\"forged\":1}", {}});
    REQUIRE(journal->append({"{}", "echo\n" + inner}));
    REQUIRE(journal->append({"{}", std::string(k_submit_limit, 'y')}));
    journal.reset();
    std::vector<JournalEntry> read;
    journal = *JobJournal::open(folder.path() + "/j", [&](std::uint64_t, const JournalEntry& entry) { read.push_back(entry); });
    REQUIRE(read.size() == 3);
    CHECK(read[1].request == "echo\n" + inner);
    CHECK(read[2].request.size() == k_submit_limit);
}

TEST_CASE("hostile: a journal's entry is as we write it, also where the digest is right") {
    std::size_t used = 0;
    for (const std::string body : {"002 0\n{}", "2 00\n{}", "+2 0\n{}"}) CHECK_FALSE(decode_journal_entry(content_digest(body) + " " + body + "\n", used));
    CHECK(decode_journal_entry(content_digest("2 0\n{}") + " 2 0\n{}\n", used).has_value());
    CHECK(used == 24);
}
