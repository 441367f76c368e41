#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "conf/sut_conf_origins.hpp"
#include "describe_view.hpp"
#include "event_view.hpp"
#include "report.hpp"

using namespace sutfleet;
using namespace sutfleet::ctl;

namespace {

const auto k_alpha = *SutName::parse("alpha");

PastAction action(std::string what, std::string why, int second, std::string result = "ok") {
    return {std::move(what), std::move(why), format_rfc3339(WallTime{} + std::chrono::seconds(1'700'000'000 + second)),
            std::move(result), 1};
}

std::string reported(const ActionHistory& history) {
    SutReport report;
    report.sut = "alpha";
    report.wanted = "running";
    report.history = history.of(k_alpha);
    return encode(report);
}

bool shows(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("history: the newest 20 of a SUT, the same again is one") {
    ActionHistory history;
    for (int i = 0; i < 30; ++i) history.add(k_alpha, action("restart", "reason " + std::to_string(i), i));
    for (int i = 30; i < 33; ++i) history.add(k_alpha, action("start", "ended", i, "no such image"));
    CHECK(history.of(k_alpha).size() == ActionHistory::k_kept);
    CHECK(history.of(k_alpha).front().times == 3);
    CHECK(history.of(k_alpha).front().at == action("", "", 32).at);
    CHECK(history.of(k_alpha).back().why == "reason 11");
    CHECK(history.of(*SutName::parse("bravo")).empty());
    history.forget(k_alpha);
    CHECK(history.of(k_alpha).empty());
}

TEST_CASE("history: a report gives it to the next life, once, and behind what that did itself") {
    ActionHistory before;
    before.add(k_alpha, action("create", "no container", 1));
    before.add(k_alpha, action("restart", "hung", 2));
    before.add(k_alpha, action("restart", "hung", 3));
    const auto report = reported(before);
    CHECK(decode_history(report) == before.of(k_alpha));

    ActionHistory after;
    after.add(k_alpha, action("deliver", "the conf changed", 10));
    after.remember(k_alpha, decode_history(report));
    after.remember(k_alpha, decode_history(report));
    REQUIRE(after.of(k_alpha).size() == 3);
    CHECK(after.of(k_alpha)[0].what == "deliver");
    CHECK(after.of(k_alpha)[1].times == 2);
    ActionHistory echo;  // what comes back is our own report
    echo.add(k_alpha, action("create", "no container", 1));
    echo.remember(k_alpha, decode_history(reported(echo)));
    CHECK(echo.of(k_alpha).size() == 1);
}

TEST_CASE("history: a report gives the evidence to the next life") {
    SutReport report;
    report.sut = "alpha";
    report.evidence = encode_evidence({"2026-01-31T12:00:00.000Z", "hung", "main loop stuck", "one\ntwo"});
    CHECK(decode_evidence(encode(report)) == report.evidence);
    report.evidence = encode_evidence({"2026-01-31T12:00:00.000Z", "ended", "", std::string(100'000, 'x') + "newest", 137});
    CHECK(report.evidence.size() < 9000);
    CHECK(report.evidence.find("newest") != std::string::npos);
    CHECK(decode_evidence(encode(report)).find("\"exit_code\":137") != std::string::npos);
    for (const auto* none : {"", "[", "{}", R"({"evidence":null})", R"({"evidence":"x"})"}) CHECK(decode_evidence(none).empty());
}

TEST_CASE("history: nonsense in a report is no history") {
    for (const auto* text : {"", "x", "[]", R"({"history":7})", R"({"history":[1,{},{"at":7,"what":"x"},{"at":"now","what":"x"}]})"})
        CHECK(decode_history(text).empty());
    CHECK(decode_history(R"({"history":)" + std::string(100'000, '[')).empty());
    const auto odd = decode_history(R"({"history":[{"at":"2026-01-31T12:00:00.000Z","what":"x","times":-4,"why":["a"]}]})");
    REQUIRE(odd.size() == 1);
    CHECK(odd[0].times == 1);
    CHECK(odd[0].why.empty());
}

TEST_CASE("history: a full one of long reasons leaves the report under 20,000 bytes") {
    ActionHistory history;
    for (int i = 0; i < 30; ++i)
        history.add(k_alpha, action("restart", std::string(5000, 'w') + std::to_string(i), i, std::string(5000, '"')));
    CHECK(reported(history).size() < 20'000);
}

TEST_CASE("conf keys: each with its line, then the defaults that hold") {
    const auto keys = conf_keys(k_alpha,
                                "# a board\ndescription: >\n  two\n  lines\nglobal_timeout: 60\ntimeouts:\n  stop: 5s\n"
                                "env: {TOKEN: secret}\nprobes:\n- name: c3\n  url: http://x\njob_queues: [alpha, \"a b\"]\n");
    const auto text = to_text("alpha.conf", keys);
    CHECK(shows(text, "alpha.conf:2\tdescription\ttwo lines"));
    CHECK(shows(text, "alpha.conf:7\ttimeouts.stop\t5s\n"));
    CHECK(shows(text, "alpha.conf:8\tenv.TOKEN\t…\n"));
    CHECK_FALSE(shows(text, "secret"));
    CHECK(shows(text, "alpha.conf:11\tprobes[0].url\thttp://x\n"));
    CHECK(shows(text, "alpha.conf:12\tjob_queues\t[alpha, a b]\n"));
    CHECK(shows(text, "default\thealth.max_age\t20s\n"));
    CHECK_FALSE(shows(text, "default\tqueues"));        // job_queues says it
    CHECK_FALSE(shows(text, "default\ttimeouts.job"));  // so does global_timeout
    CHECK(conf_keys(k_alpha, "a: [").empty());
    CHECK(conf_keys(k_alpha, "- a").empty());
    CHECK(conf_keys(k_alpha, "{}").size() == 17);
}

TEST_CASE("conf keys: which of them differ") {
    using Keys = std::set<std::string>;
    const std::string before = "image: a\ntimeouts: {job: 1h, stop: 5s}\nenv: {A: 1, B: 2}\nprobes:\n- {name: c3, url: http://x}\n";
    CHECK(changed_keys(before, before + "# a remark\n").empty());
    CHECK(changed_keys(before, "env: {B: 2, A: 1}\n\nimage: a\ntimeouts:\n  job: 1h\n  stop: 5s\nprobes: [{name: c3, url: http://x}]\n").empty());
    CHECK(changed_keys(before, before + "resources: {memory: 1g}\n") == Keys{"resources.memory"});
    CHECK(changed_keys("timeouts: {job: 1h}\nenv: {A: x}\nqueues: [a]", "timeouts: {job: 2h, stop: 1s}\nqueues: [a, b]") ==
          Keys{"timeouts.job", "timeouts.stop", "env.A", "queues"});
    CHECK(changed_keys("probes: [{name: a, url: http://x}]", "probes: [{name: a, url: http://y}]") == Keys{"probes"});
    CHECK(changed_keys("command: '1'", "command: 1") == Keys{"command"});
    CHECK(changed_keys("command: x", "command: {a: b}") == Keys{"command"});
    CHECK(changed_keys("a: [", "a: 1").empty());
}

TEST_CASE("conf keys: shared nodes do not multiply") {
    for (const std::string leaf : {"{k: v}", "{}", "[]", "[{}]"}) {
        std::string text = "a0: &a0 " + leaf + "\n";
        for (int i = 1; i < 100; ++i) {
            const auto last = std::to_string(i - 1), self = std::to_string(i);
            text += "a" + self + ": &a" + self + " {x: *a" + last + ", y: *a" + last + "}\n";
        }
        CHECK(conf_keys(k_alpha, text).size() < 2100);
        CHECK(changed_keys(text, text + "b: 1").size() < 2100);
    }
}

TEST_CASE("sutctl describe: one SUT as its topics and the supervisor tell it") {
    SutDescription alpha("alpha");
    CHECK_FALSE(alpha.known());
    alpha.hear("agent", "unhealthy: silent\x1b[2J");
    alpha.hear("state", R"({"state":"busy","why":null})");
    alpha.hear("jobs", R"({"running":"j7","queued":["j8","j9"],"done":[]})");
    alpha.hear("report", R"({"wanted":"running","labels":{"kind":"sample"},"hold":"a job runs",
        "container":{"id":"0123","name":"alpha","status":"running","health":"unhealthy","image":"lab:1","started":"2026-01-31T11:00:00Z"},
        "history":[{"at":"2026-01-31T11:00:00.000Z","what":"restart","why":"hung","result":"ok","times":2},
                   {"at":"2026-01-31T10:00:00.000Z","what":"create","why":"no container","result":"no such image"}],
        "evidence":{"at":"2026-01-31T10:59:59.000Z","why":"hung","health_log":"main loop stuck","output":"one\ntwo","exit_code":137}})");
    alpha.set_conf("alpha.conf:4\tcommand\tsleep 1\ndefault\trestart\ton-failure\n");
    const auto text = alpha.text(Screen(Color::never), *parse_rfc3339("2026-01-31T12:00:00.000Z"));
    CAPTURE(text);
    CHECK(text.starts_with("alpha\n"));
    CHECK(shows(text, "unhealthy: silent [2J"));
    CHECK(shows(text, "queued     j8, j9\n"));
    CHECK(shows(text, "hold       a job runs\n"));
    CHECK(shows(text, "up         60m, since 2026-01-31T11:00:00Z\n"));
    CHECK(shows(text, "2026-01-31T11:00:00.000Z  restart  ok                     hung (2 times)\n"));
    CHECK(shows(text, "create   failed: no such image  no container\n"));
    CHECK(shows(text, "evidence of 2026-01-31T10:59:59.000Z: hung\n  exit code: 137\n  probe: main loop stuck\n  | one\n  | two\n"));
    CHECK(shows(text, "alpha.conf:4  command  sleep 1\n"));
    CHECK(shows(alpha.json(), R"({"key":"restart","value":"on-failure","origin":"default"})"));
}

TEST_CASE("sutctl describe: nonsense on the bus does no harm") {
    SutDescription alpha("alpha");
    alpha.hear("agent", "\xff\xfe");
    alpha.hear("state", "[");
    alpha.hear("jobs", R"({"queued":{"a":[]}})");
    alpha.hear("report", R"({"container":"x","history":{"a":1},"evidence":{"at":7},"labels":[1],"conf":{"error":{"a":1}}})");
    alpha.set_conf("\t\t\n\nx\ny\tz");
    CHECK_FALSE(alpha.text(Screen(Color::never), WallTime{}).empty());
    CHECK_FALSE(alpha.json().empty());
}

TEST_CASE("sutctl events: past ones in the order of their times") {
    auto events = past_events("bravo", R"({"history":[{"at":"2026-01-31T11:00:00.000Z","what":"restart","why":"b","result":"ok"}]})");
    for (auto& one : past_events("alpha", R"({"history":[{"at":"2026-01-31T12:00:00.000Z","what":"start","why":"c","result":"broken"},
                                                        {"at":"2026-01-31T10:00:00.000Z","what":"create","why":"a","result":"ok"}]})"))
        events.push_back(one);
    const auto all = in_order(events, 100);
    REQUIRE(all.size() == 3);
    CHECK(all[0].reason + all[1].reason + all[2].reason == "abc");
    CHECK(all[2].line(Screen(Color::never)) == "2026-01-31T12:00:00.000Z  alpha  start  c  failed: broken");
    CHECK(in_order(events, 1).front().reason == "c");
    CHECK(in_order(events, 0).empty());
}

TEST_CASE("describe: what may be submitted, as the supervisor reports it") {
    SutConf conf;
    SutReport report;
    report.sut = "alpha";
    report.conf = &conf;
    CHECK(nlohmann::json::parse(encode(report)).at("submit").is_null());
    conf.agent.submit.shell = false;
    CommandParameter slot;
    slot.type = CommandParameter::Type::integer;
    slot.min = 0, slot.max = 3;
    conf.agent.submit.commands["flash"] = {{"flash", "{slot}"}, {{"slot", slot}}};
    const auto submit = nlohmann::json::parse(encode(report)).at("submit");
    CHECK(submit.at("shell") == false);
    CHECK(submit.at("commands").at(0) == "flash slot=0..3");
    CHECK(submit.at("more") == 0);
    for (int i = 0; i < 100; ++i) conf.agent.submit.commands["c" + std::to_string(i)] = {{"x"}, {{std::string(60, 'p'), slot}}};
    const auto many = nlohmann::json::parse(encode(report)).at("submit");
    CHECK(many.at("commands").size() + many.at("more").get<std::size_t>() == 101);
    CHECK(many.dump().size() < 6000);
    ctl::SutDescription description("alpha");
    conf.agent.submit.commands.erase(conf.agent.submit.commands.begin(), std::prev(conf.agent.submit.commands.end()));
    description.hear("report", encode(report));
    CHECK(description.text(ctl::Screen(ctl::Color::never, false, true), {}).find("only these may be submitted\n  flash slot=0..3") != std::string::npos);
}
