// sutctl as a user runs it, against a private broker and a real agent-entry.

#include <doctest/doctest.h>

#include <csignal>
#include <cstdlib>
#include <future>

#include "lab.hpp"
#include "sutctl_run.hpp"
#include "sys/file.hpp"

using namespace sutfleet;

namespace {

/// As typed into a shell.
test::Ran sutctl(const std::string& url, const std::string& words) {
    return test::run({"/bin/sh", "-c", "timeout 60 " SUTCTL " " + words}, test::sutctl_environment(url));
}

std::future<test::Ran> start_sutctl(const std::string& url, const std::string& words) {
    return std::async(std::launch::async, [=] { return sutctl(url, words); });
}

/// A job that leaves a line in the file `runs` each time that it runs.
std::string counted_job(const test::Lab& lab, const std::string& id) {
    return R"('{"id":")" + id + R"(","command":"echo )" + id + " | tee -a " + lab.agent->folder() +
           R"(/runs"}' )";
}

std::string runs(test::Lab& lab) {
    lab.run("last", R"({"id":"last","command":"true"})");  // whatever was sent before it has come
    return sys::read_file(lab.agent->folder() + "/runs", 4096).value_or("");
}

}  // namespace

TEST_CASE("sutctl: jobs from submit to their records") {
    test::PrivateBroker broker;
    test::PrivateAgent agent(AGENT_ENTRY, broker.url());
    const auto url = broker.url();
    REQUIRE(
        test::eventually([&] { return sutctl(url, "ps").out.find("ready") != std::string::npos; }));

    const auto failed =
        sutctl(url, "submit alpha --wait -- sh -c 'echo one; echo; echo two; exit 7'");
    CHECK(failed.exit == 7);
    CHECK(failed.out.starts_with("one\n\ntwo\n"));
    CHECK(failed.out.find("FAILED, exit 7") != std::string::npos);

    const auto flood = sutctl(url, "submit alpha --wait 'seq 50000' 2>/dev/null | wc -l");
    CHECK(std::atoi(flood.out.c_str()) >= 50000);
    CHECK(sutctl(url, "submit alpha --wait --timeout 1s 'sleep 20'").exit == 124);

    auto id = sutctl(url, "submit alpha 'sleep 1; echo late'").out;
    id.erase(id.find_last_not_of('\n') + 1);
    const auto followed = sutctl(url, "logs -f alpha " + id);
    CHECK(followed.exit == 0);
    CHECK(followed.out == "late\n");
    CHECK(sutctl(url, "job alpha " + id).out.find("state: SUCCEEDED") != std::string::npos);
    CHECK(sutctl(url, "jobs alpha --json").out.find(id) != std::string::npos);
    CHECK(sutctl(url, "prune alpha --dry-run").out == "would remove 0 job folders, 0 KiB\n");
}

TEST_CASE("sutctl: reinit does one init step again, or all, and says which there are") {
    const auto sh = [](const std::string& text) { return Command{{"/bin/sh", "-c", text}}; };
    AgentRules rules;
    rules.household.init = {{"one", sh("echo first")}, {"two", sh("echo second")}};
    test::Lab lab(AGENT_ENTRY, rules);
    const auto url = lab.broker.url();
    const auto log_is = [&](const std::string& text) { return test::eventually([&] { return lab.agent->log() == text; }); };
    std::string log = "[init one] first\n[init two] second\n";
    REQUIRE(log_is(log));
    const auto one = sutctl(url, "reinit alpha two");
    CHECK(one.exit == 0);
    CHECK(one.out == "does again: two\n");
    CHECK(log_is(log += "[init two] second\n"));
    REQUIRE(lab.says("state", "ready"));
    CHECK(sutctl(url, "reinit alpha").out == "does again: one, two\n");
    CHECK(log_is(log += "[init one] first\n[init two] second\n"));
    const auto wrong = sutctl(url, "reinit alpha three");
    CHECK(wrong.exit == 4);
    CHECK(wrong.out.find("no init step 'three': expected one of one, two") != std::string::npos);
}

TEST_CASE("sutctl: what cannot be done has its exit code") {
    test::PrivateBroker broker;
    const auto url = broker.url();
    CHECK(sutctl(url, "submit nosuch x").exit == 4);
    CHECK(sutctl(url, "submit 'No Such' x").exit == 2);
    CHECK(sutctl(url, "job alpha j1").exit == 1);
    CHECK(sutctl(url, "cancel alpha").exit == 4);
    CHECK(sutctl(url, "ps").exit == 0);
    const auto away = sutctl("mqtt://127.0.0.1:1", "ps");
    CHECK(away.exit == 3);
    CHECK(away.out.find("./tools/up") != std::string::npos);
}

TEST_CASE("sutctl: a submit outlives a broker that forgets what it has acknowledged") {
    test::Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();

    const auto submit_over_loss = [&](const std::string& options, const std::function<void()>& agent_returns) {
        auto sending = start_sutctl(url, "submit alpha " + options + counted_job(lab, "kept"));
        REQUIRE(lab.says("submit", "kept"));
        lab.broker.lose();
        lab.broker.start();
        agent_returns();
        return sending.get();
    };
    const auto go_offline = [&] {
        lab.agent->stop(SIGTERM);
        REQUIRE(lab.says("agent", "offline"));
    };
    const auto start = [&] { lab.agent->start(); };

    SUBCASE("the agent is offline") {
        go_offline();
        const auto ran = submit_over_loss("--wait ", start);
        CAPTURE(ran.out);
        CHECK(ran.exit == 0);
        CHECK(ran.out.find("the broker is away") != std::string::npos);
        CHECK(ran.out.starts_with("kept\n"));
    }
    SUBCASE("the agent is offline, and nobody waits for the job's end") {
        go_offline();
        const auto ran = submit_over_loss("", start);
        CAPTURE(ran.out);
        CHECK(ran.exit == 0);
        CHECK(ran.out.starts_with("kept\n"));
    }
    SUBCASE("the agent does not listen for a moment") {
        lab.agent->signal(SIGSTOP);
        const auto ran = submit_over_loss("", [&] { lab.agent->signal(SIGCONT); });
        CAPTURE(ran.out);
        CHECK(ran.exit == 0);
        CHECK(ran.out.starts_with("kept\n"));
    }
    CHECK(runs(lab) == "kept\n");
}

TEST_CASE("sutctl: a submit to an agent that stays offline says that it has no word of it, and the job runs later") {
    test::Lab lab(AGENT_ENTRY);
    lab.agent->stop(SIGTERM);
    REQUIRE(lab.says("agent", "offline"));
    const auto ran = sutctl(lab.broker.url(), "submit alpha " + counted_job(lab, "kept"));
    CAPTURE(ran.out);
    CHECK(ran.exit == 124);
    CHECK(ran.out.starts_with("kept\n"));
    CHECK(test::has(ran.out, "the broker keeps job kept"));
    lab.agent->start();
    CHECK(runs(lab) == "kept\n");
}

TEST_CASE("sutctl resume: who is offline is resumed by the supervisor, and hears it when it is back") {
    test::Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();
    REQUIRE(lab.says("submit_status", "ready"));
    REQUIRE(sutctl(url, "drain alpha").exit == 0);
    REQUIRE(lab.says("state", "draining"));
    lab.agent->stop(SIGTERM);
    REQUIRE(lab.says("agent", "offline"));
    CHECK(sutctl(url, "drain alpha").exit != 0);
    const auto ran = sutctl(url, "resume alpha");
    CHECK_MESSAGE(ran.exit == 0, ran.out);
    CHECK(ran.out.starts_with("alpha is offline: "));
    CHECK_FALSE(lab.get("cmd/resume").empty());
    lab.agent->start();
    CHECK(lab.says("submit_status", "ready"));
    CHECK(sutctl(url, "resume nosuch").exit == 4);
}

TEST_CASE("sutctl: the same id again is the same job, or is refused") {
    test::Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();
    const auto job = counted_job(lab, "same");
    CHECK(sutctl(url, "submit alpha --wait " + job).exit == 0);
    const auto again = sutctl(url, "submit alpha --wait " + job);
    CHECK(again.exit == 0);
    CHECK(again.out.find("SUCCEEDED") != std::string::npos);
    CHECK(sutctl(url, "submit alpha --json " + job).out.find("SUCCEEDED") != std::string::npos);
    const auto other = sutctl(url, R"(submit alpha --wait '{"id":"same","command":"false"}')");
    CHECK(other.exit == 4);
    CHECK(other.out.find("id used") != std::string::npos);
    CHECK(runs(lab) == "same\n");
}

TEST_CASE("sutctl: a Testflinger job file runs, a wrong one is not sent") {
    test::Lab lab(AGENT_ENTRY);
    const auto file = lab.agent->folder() + "/job.yaml";
    const auto write = [&](const std::string& text) {
        return sys::write_file_atomic(file, text, 0600, sys::Durability::fast).has_value();
    };
    REQUIRE(
        write("job_queue: any\r\nglobal_timeout: 60\r\nreserve_data:\r\n"
              "test_data:\r\n  test_cmds: |\r\n    echo one\r\n    echo \"two: 2\"; exit 3\r\n"));
    const auto ran = sutctl(lab.broker.url(), "submit alpha --wait -f " + file);
    CHECK(ran.exit == 3);
    CHECK(ran.out.starts_with("one\ntwo: 2\n"));
    const auto sent = lab.all("submit").size();
    REQUIRE(write("job_queue: any\ntest_cmds: ls\n"));
    const auto wrong = sutctl(lab.broker.url(), "submit alpha -f " + file);
    CHECK(wrong.exit == 2);
    CHECK(wrong.out.find("job.yaml:2:1: unknown key 'test_cmds'") != std::string::npos);
    CHECK(lab.all("submit").size() == sent);
}
