#include <doctest/doctest.h>

#include <csignal>

#include "job/submit_request.hpp"
#include "job_folders.hpp"
#include "job_run.hpp"
#include "lifecycle.hpp"
#include "masker.hpp"
#include "repeats.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_start{std::chrono::hours{1}};

AgentRules rules(std::initializer_list<const char*> phases) {
    AgentRules out;
    for (const auto* phase : phases) out.phases[phase] = Command{{phase}};
    return out;
}

JobRequest text(const char* command) { return *decode_submit(command); }

SpawnPhase conf_phase(const char* phase) { return {phase, Command{{phase}}}; }

using Effects = std::vector<JobEffect>;

}  // namespace

TEST_CASE("a phase that is to be skipped does not run, whatever data it has") {
    const auto phases = [](const char* payload) {
        AgentRules rules;
        rules.phases["test"] = rules.phases["provision"] = Command{{"true"}};
        JobRun run(rules, *decode_submit(payload), false, {});
        std::string out;
        for (auto effects = run.start(SteadyTime{}); std::holds_alternative<SpawnPhase>(effects.front()); effects = run.exited(0, SteadyTime{}, false))
            out += std::get<SpawnPhase>(effects.front()).phase + " ";
        return out;
    };
    CHECK(phases(R"({"test_data":{"test_cmds":"x"}})") == "test ");
    CHECK(phases(R"({"test_data":{}})") == "test ");
    CHECK(phases(R"({"test_data":null})").empty());
    CHECK(phases(R"({"test_data":{"test_cmds":"x","skip":true}})").empty());
    CHECK(phases(R"({"command":"x","phases":{"test":{"skip":true},"provision":{}}})") == "provision ");
    CHECK(phases(R"({"command":"x","provision_data":{"skip":true}})") == "test ");
}

TEST_CASE("a text without phases runs by the shell") {
    JobRun run(rules({}), text("echo hi"));
    CHECK(run.start(k_start) == Effects{SpawnPhase{"test", Command{{"/bin/sh", "-c", "echo hi"}}}});
    CHECK(run.exited(0, k_start) == Effects{FinishJob{JobState::succeeded, "", 0}});
}

TEST_CASE("phases run in order; optional ones only with data; cleanup whatever happens") {
    JobRun run(rules({"setup", "provision", "test", "reserve", "cleanup"}),
               *decode_submit(R"({"command":"x","provision_data":{},"reserve_data":{"skip":true}})"));
    CHECK(run.start(k_start) == Effects{conf_phase("setup")});
    CHECK(run.exited(0, k_start) == Effects{conf_phase("provision")});
    CHECK(run.exited(3, k_start) == Effects{conf_phase("cleanup")});
    CHECK(run.exited(0, k_start) == Effects{FinishJob{JobState::failed, "provision ended with 3", 3}});
}

TEST_CASE("a phase that memory ran out for says so, whether itself or a part of it was killed") {
    const auto end = [](int code) {
        JobRun run(rules({}), text("x"));
        CHECK(run.start(k_start).size() == 1);
        return run.exited(code, k_start, true);
    };
    CHECK(end(137) == Effects{FinishJob{JobState::failed, "test: out of memory", 137}});
    CHECK(end(2) == Effects{FinishJob{JobState::failed, "test ended with 2; out of memory: the kernel killed a process meanwhile", 2}});
}

TEST_CASE("a cancel cuts no cleanup off: the job has run already") {
    JobRun run(rules({"cleanup"}), text("x"));
    CHECK(run.start(k_start).size() == 1);
    CHECK(run.exited(0, k_start) == Effects{conf_phase("cleanup")});
    CHECK(run.cancel("canceled", k_start).empty());
    CHECK(run.exited(0, k_start) == Effects{FinishJob{JobState::succeeded, "", 0}});
}

TEST_CASE("cancel and timeouts: TERM, then KILL, then cleanup") {
    JobRun run(rules({"cleanup"}), text("sleep 99"));
    CHECK(run.start(k_start).size() == 1);
    CHECK(run.cancel("canceled", k_start) == Effects{SignalPhase{SIGTERM}});
    CHECK(run.cancel("canceled", k_start).empty());
    CHECK(run.tick(k_start + 9s).empty());
    CHECK(run.tick(k_start + 10s) == Effects{SignalPhase{SIGKILL}});
    CHECK(run.exited(137, k_start + 10s) == Effects{conf_phase("cleanup")});
    CHECK(run.exited(0, k_start + 11s) == Effects{FinishJob{JobState::canceled, "canceled", {}}});
}

TEST_CASE("a cancel lets a protected phase end, and cleanup too") {
    JobRun run(rules({"provision", "cleanup"}), *decode_submit(R"({"command":"x","provision_data":{}})"));
    CHECK(run.start(k_start) == Effects{conf_phase("provision")});
    CHECK(run.cancel("canceled", k_start).empty());
    CHECK(run.tick(k_start + 1min).empty());
    CHECK(run.exited(0, k_start + 1min) == Effects{conf_phase("cleanup")});
    CHECK(run.cancel("canceled", k_start + 1min).empty());
    CHECK(run.exited(0, k_start + 1min) == Effects{FinishJob{JobState::canceled, "canceled", {}}});
    auto unprotected = rules({"provision"});
    unprotected.jobs.protected_phases.clear();
    JobRun other(unprotected, *decode_submit(R"({"command":"x","provision_data":{}})"));
    CHECK(other.start(k_start).size() == 1);
    CHECK(other.cancel("canceled", k_start) == Effects{SignalPhase{SIGTERM}});
}

TEST_CASE("silence in the test phase ends it; output moves the limit") {
    JobRun run(rules({}), *decode_submit(R"({"command":"x","output_timeout":"10s"})"));
    CHECK(run.start(k_start).size() == 1);
    run.output_seen(k_start + 9s);
    CHECK(run.tick(k_start + 18s).empty());
    CHECK(run.due() == k_start + 19s);
    CHECK(run.tick(k_start + 19s) == Effects{SignalPhase{SIGTERM}});
    CHECK(run.exited(143, k_start + 19s) == Effects{FinishJob{JobState::timed_out, "test: no output for 10s", {}}});
}

TEST_CASE("46 asks for a person; a stopped agent leaves cleanup for its next life") {
    JobRun person(rules({}), text("x"));
    CHECK(person.start(k_start).size() == 1);
    CHECK(person.exited(46, k_start) == Effects{FinishJob{JobState::failed, "test ended with 46", 46, true}});
    JobRun stopped(rules({"cleanup"}), text("x"));
    CHECK(stopped.start(k_start).size() == 1);
    CHECK(stopped.abandon(k_start) == Effects{SignalPhase{SIGTERM}});
    const auto end = stopped.exited(143, k_start);
    CHECK(std::get<FinishJob>(end.at(0)).state == JobState::lost);
    JobRun later(rules({"cleanup", "test"}), text("x"), true);
    CHECK(later.start(k_start) == Effects{conf_phase("cleanup")});
}

TEST_CASE("what a submit may say") {
    struct Row {
        std::string payload;
        const char* rejection;
    };
    const Row rows[] = {
        {"", "empty"},
        {" \r\n", "empty"},
        {std::string("a\0b", 3), "not a text: it has a NUL byte"},
        {std::string(256 * 1024 + 1, 'x'), "too large"},
        {"{", "begins with '{' but is not valid JSON"},
        {R"({"comand":"x"})", "unknown key 'comand'"},
        {R"({"command":1})", "'command' must be a text"},
        {R"({"id":"../x","command":"x"})", "not a job id: expected [A-Za-z0-9][A-Za-z0-9_-]{0,63}"},
        {R"({"command":"x","env":{"A":1}})", "'env' must be an object of strings"},
        {R"({"command":"x","timeout":"soon"})",
         "timeout: 'soon' is not a duration: expected e.g. 500ms, 10s, 15m, 4h, 2d or a number of seconds"},
        {"{\"context\":" + std::string(100, '['), "the JSON is nested too deep"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.payload.substr(0, 60));
        const auto got = decode_submit(row.payload);
        REQUIRE_FALSE(got);
        CHECK(got.error().message == row.rejection);
    }
    CHECK(decode_submit("a\r\nb")->command == "a\nb");
    CHECK(decode_submit(R"({"command":")" + std::string(100, '[') + R"(\" ]"})"));  // brackets of a text are no nesting
    CHECK(decode_submit(R"({"job_queue":"q","test_data":{"test_cmds":["a","b"]}})")->command == "a\nb\n");
    CHECK(decode_submit(R"({"test_data":{"test_cmds":"a"},"global_timeout":60})")->timeout == 60s);
    CHECK(decode_submit(R"({"provision_data":null,"reserve_data":{}})")->phases == std::set<std::string>{"reserve"});
    CHECK(decode_submit(R"({"job_priority":200,"allocation_timeout":7200,"job_status_webhook":"http://h/","debug":true})"));
}

TEST_CASE("the subprocess: restart policies, backoff, crash loop") {
    Lifecycle life(true, RestartPolicy::on_failure, k_start);
    CHECK(life.start_due(k_start));
    auto now = k_start;
    for (int i = 0; i < 5; ++i) {
        life.started(now);
        now += 1s;
        life.exited(1, now);
        CHECK(life.due() == now + std::chrono::seconds{1 << i});
        now = *life.due();
    }
    CHECK(life.verdict(now).health == Health::unhealthy);
    life.restart(now);
    CHECK(life.verdict(now).health != Health::unhealthy);
    life.started(now);
    life.exited(0, now + 61s);
    CHECK(life.state() == Lifecycle::State::ended);
    CHECK(life.verdict(now) == HealthVerdict{Health::ok, "command ended (0)"});
    CHECK(Lifecycle(false, RestartPolicy::always, k_start).state() == Lifecycle::State::absent);
}

TEST_CASE("retries, priority and expiry of a job") {
    const auto job = decode_submit(R"({"command":"x","priority":5,"expires":"10m","retries":{"max":2,"on":[7,"lost"],"delay":"3s"}})");
    REQUIRE(job);
    CHECK(job->priority == 5);
    CHECK(job->expires == 10min);
    CHECK(job->retries == RetryRule{2, {7}, false, true, 3s});
    const FinishJob seven{JobState::failed, "test ended with 7", 7}, eight{JobState::failed, "test ended with 8", 8};
    CHECK(tries_again(job->retries, seven, 1));
    CHECK(tries_again(job->retries, seven, 2));
    CHECK_FALSE(tries_again(job->retries, seven, 3));
    CHECK_FALSE(tries_again(job->retries, eight, 1));
    CHECK(tries_again(job->retries, {JobState::lost, {}, {}}, 1));
    CHECK_FALSE(tries_again(job->retries, {JobState::timed_out, {}, {}}, 1));
    const RetryRule any{1, {}, false, false, {}};
    for (const auto state : {JobState::failed, JobState::timed_out, JobState::lost}) CHECK(tries_again(any, {state, {}, {}}, 1));
    for (const auto state : {JobState::succeeded, JobState::canceled}) CHECK_FALSE(tries_again(any, {state, {}, {}}, 1));
    CHECK_FALSE(tries_again(any, {JobState::failed, {}, 46, true}, 1));
    for (const auto* bad : {R"({"command":"x","priority":101})", R"({"command":"x","priority":"high"})", R"({"command":"x","retries":3})",
                            R"({"command":"x","retries":{"max":-1}})", R"({"command":"x","retries":{"maximum":1}})",
                            R"({"command":"x","retries":{"on":["never"]}})", R"({"command":"x","expires":"soon"})"})
        CHECK_FALSE(decode_submit(bad));
}

TEST_CASE("which job folders go: the oldest, by age and by size, but the newest stay whatever the clock says") {
    const WallTime now{24h * 20'000};
    const auto folder = [&](int number, std::chrono::hours age, std::uint64_t bytes) {
        return JobFolder{*JobId::parse("j" + std::to_string(number)), now - age, bytes};
    };
    JobRules rules;
    rules.keep = 24h;
    rules.max_bytes = 100;
    const auto due = [&](const std::vector<JobFolder>& all) {
        FolderLedger ledger;
        for (const auto& one : all) ledger.put(one);
        return ledger.due(rules, now);
    };
    CHECK(due({}).empty());
    CHECK(due({folder(1, 1h, 50), folder(2, 2h, 50)}).empty());
    CHECK(due({folder(1, 1h, 60), folder(2, 3h, 60), folder(3, 2h, 20)}) == std::vector{folder(2, 3h, 60)});
    CHECK(due({folder(1, 2h, 60), folder(1, 1h, 20), folder(2, 3h, 80)}).empty());  // the newest word of a job counts
    std::vector<JobFolder> old;
    for (int i = 0; i < 25; ++i) old.push_back(folder(i, 24h * (100 + i), 1));
    CHECK(due(old).size() == 5);
    CHECK(due({folder(1, 1h, 1000)}).size() == 1);
}

TEST_CASE("secrets are masked wherever the chunks end; all other bytes pass unchanged") {
    const auto secrets = std::make_shared<const Secrets>(
        std::vector<std::string>{"hunter2", "hunter2-longer", "aab", "key line 1\nkey line 2", "abcabd"});
    const std::string text = std::string("xx hunter2 hunter2-longe hunter2-longer\n\0aab\xff", 45) +
                             "abcabcabd key line 1\r\nkey line 2 key line 1\nkey line 2 hunter";
    const std::string masked = std::string("xx *** ***-longe ***\n\0aab\xff", 26) +
                               "abc*** ***\r\n*** *** hunter";
    for (std::size_t a = 0; a <= text.size(); ++a)
        for (std::size_t b = a; b <= text.size(); ++b) {
            Masker masker(secrets);
            std::string out;
            for (const auto& chunk : {text.substr(0, a), text.substr(a, b - a), text.substr(b)}) out += masker.pass(chunk);
            out += masker.end();
            if (out != masked) REQUIRE(out == masked);
        }
    Masker nothing_waits(secrets);
    CHECK(nothing_waits.pass("plain line\n") == "plain line\n");
    CHECK(nothing_waits.pass("password: h").empty() == false);
    CHECK(nothing_waits.end() == "h");
}

TEST_CASE("a repeat of a text is told from a second text, as far as it can be") {
    const WallTime now{24h * 20'000};
    const auto id = *JobId::parse("first");
    using Kind = Repeats::Kind;
    const auto after_text = [&](WallTime at) {
        Repeats repeats;
        CHECK(repeats.judge(1, {}, at, k_start).kind == Kind::none);
        repeats.accepted({id, 1, 7, at, 1});
        CHECK(repeats.judge(1, {}, at, k_start).kind == Kind::none);  // two equal texts are two jobs
        return repeats;
    };
    // The connection is lost 10 s after it and is back 5 s later.
    const Arrival later{false, 0, 2, k_start + 15s, k_start + 10s};
    const auto judge_later = [&](Repeats& repeats, int packet = 0) {
        auto arrival = later;
        arrival.dup = packet != 0;
        arrival.packet = packet;
        return repeats.judge(1, arrival, now + 15s, k_start + 15s);
    };
    SUBCASE("a redelivery has the same packet identifier") {
        auto repeats = after_text(now);
        CHECK(judge_later(repeats, 7).kind == Kind::redelivery);
        CHECK_FALSE(repeats.broker_ran_for(3600s, k_start + 16s));
        CHECK(judge_later(repeats, 8).kind == Kind::none);
    }
    SUBCASE("the broker crashed: a repeat for 60 s") {
        auto repeats = after_text(now);
        CHECK(judge_later(repeats).kind == Kind::maybe);
        CHECK(repeats.judge(2, later, now + 15s, k_start + 15s).kind == Kind::none);  // another text
        CHECK(repeats.broker_ran_for(4s, k_start + 16s));
        const auto verdict = judge_later(repeats);
        CHECK(verdict.kind == Kind::repeat);
        CHECK(verdict.of == id);
        CHECK(repeats.judge(1, later, now + 76s, k_start + 76s).kind == Kind::none);
    }
    SUBCASE("only the connection was lost") {
        auto repeats = after_text(now);
        CHECK(judge_later(repeats).kind == Kind::maybe);
        CHECK_FALSE(repeats.broker_ran_for(3600s, k_start + 16s));
        CHECK(judge_later(repeats).kind == Kind::none);
    }
    SUBCASE("accepted long before the loss") {
        auto repeats = after_text(now - 100s);
        CHECK(judge_later(repeats).kind == Kind::none);
    }
    SUBCASE("in an earlier life") {
        Repeats repeats;
        repeats.accepted({id, 1, 7, now, 0});
        repeats.lived_at(now + 3s);
        const Arrival first{false, 0, 1, k_start, {}};
        CHECK(repeats.judge(1, first, now + 300s, k_start).kind == Kind::maybe);
        CHECK(repeats.broker_ran_for(10s, k_start + 1s));
        CHECK(repeats.judge(1, first, now + 300s, k_start + 2s).kind == Kind::repeat);
        CHECK_FALSE(repeats.broker_ran_for(400s, k_start + 3s));
        CHECK(repeats.judge(1, {true, 7, 1, k_start, {}}, now + 300s, k_start).kind == Kind::redelivery);
    }
}

TEST_CASE("a time as text and back") {
    const WallTime time{std::chrono::milliseconds{1'769'903'999'123}};
    CHECK(format_rfc3339(time) == "2026-01-31T23:59:59.123Z");
    CHECK(parse_rfc3339("2026-01-31T23:59:59.123Z") == time);
    for (const auto* bad : {"3026-01-31T23:59:59.123Z", "0001-01-01T00:00:00.000Z", "", "2026-01-31T23:59:59Z", "2026-02-31T23:59:59.123Z", "2026-01-31 23:59:59.123Z", "x026-01-31T23:59:59.123Z"})
        CHECK_FALSE(parse_rfc3339(bad));
}
