// Jobs on a real agent-entry and a real broker.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "lab.hpp"
#include "sys/file.hpp"
#include "sys/process_table.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::Lab;

namespace {

bool gone(const Lab& lab, const std::string& id) {
    const auto marker = "SUTFLEET_ARTIFACTS=" + lab.agent->folder() + "/state/jobs/" + id + "/artifacts";
    return eventually([&] { return sys::processes_with(marker).empty(); });
}

/// `cut`, which runs until something ends it, and `next` behind it.
void submit_cut_and_next(Lab& lab, const std::string& next) {
    lab.submit(R"j({"id":"cut","command":"echo up; sleep 1000"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":")j" + next + "\"}");
    REQUIRE(lab.says("job/next", "QUEUED"));
}

AgentRules quick_stop() {
    AgentRules rules;
    rules.timeouts.stop = 500ms;
    return rules;
}

}  // namespace

TEST_CASE("nothing of a job survives it, wherever it went") {
    Lab lab(AGENT_ENTRY, quick_stop());
    CHECK(has(lab.run("daemon", R"j({"id":"daemon","command":"(setsid sh -c 'sleep 1000' >/dev/null 2>&1 &); echo left"})j"), "SUCCEEDED"));
    CHECK(gone(lab, "daemon"));
    lab.submit(R"j({"id":"stubborn","command":"(setsid sh -c 'trap \"\" TERM; while :; do sleep 0.1; done' >/dev/null 2>&1 &) ; trap '' TERM; echo up; while :; do sleep 0.1; done"})j");
    REQUIRE(lab.says("output", "up"));
    lab.publish("alpha/cmd/cancel", "stubborn");
    CHECK(lab.says("job/stubborn", "CANCELED"));
    CHECK(gone(lab, "stubborn"));
    // Nothing of its environment, session or parents is left.
    CHECK(has(lab.run("bare", R"j({"id":"bare","command":"env -i setsid sh -c 'echo $$ >pid; exec sleep 1000' >/dev/null 2>&1 & while [ ! -s pid ]; do sleep 0.02; done"})j"), "SUCCEEDED"));
    const auto pid = std::stoi(sys::read_file(lab.agent->folder() + "/state/jobs/bare/pid", 100).value());
    CHECK(eventually([&] { return ::kill(pid, 0) != 0; }));
    CHECK(has(lab.run("late", R"j({"id":"late","timeout":"300ms","command":"setsid sleep 1000"})j"), "TIMED_OUT"));
    CHECK(gone(lab, "late"));
}

TEST_CASE("what a job's commands find in their environment, and what its exit codes mean") {
    auto rules = quick_stop();
    rules.phases["setup"] = Command{{"/bin/sh", "-c", "echo $SUTFLEET_PHASE $SUTFLEET_JOB_ID $SUTFLEET_SUT $OWN"}};
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo $SUTFLEET_PHASE; [ -d $SUTFLEET_ARTIFACTS ]"}};
    Lab lab(AGENT_ENTRY, rules);
    CHECK(has(lab.run("e", R"j({"id":"e","command":"cat $SUTFLEET_COMMAND_FILE; echo; echo $SUTFLEET_PHASE; pwd","env":{"OWN":"its own"}})j"), "SUCCEEDED"));
    const auto folder = lab.agent->folder() + "/state/jobs/e";
    CHECK(sys::read_file(folder + "/output.log", 4096).value() ==
          "setup e alpha its own\ncat $SUTFLEET_COMMAND_FILE; echo; echo $SUTFLEET_PHASE; pwd\ntest\n" + folder + "\ncleanup\n");
    CHECK(has(lab.run("killed", R"j({"id":"killed","command":"kill -9 $$"})j"), "\"exit\":137"));
    CHECK(has(lab.run("missing", R"j({"id":"missing","command":"exec /no/such"})j"), "\"exit\":127"));
    CHECK(has(lab.run("folder", R"j({"id":"folder","command":"exec /"})j"), "\"exit\":126"));
    rules.phases["test"] = Command{{"/no/such/program"}};
    lab.agent->deliver(rules);
    CHECK(eventually([&, i = 0]() mutable {
        const auto id = "p" + std::to_string(++i);
        return has(lab.run(id, R"j({"id":")j" + id + R"j(","command":"true"})j"), "\"exit\":127");
    }));
}

TEST_CASE("a cancel that comes right behind its job finds it") {
    Lab lab(AGENT_ENTRY, quick_stop());
    REQUIRE(lab.says("submit_status", "ready"));
    for (int i = 0; i < 20; ++i) {
        const auto id = "c" + std::to_string(i);
        lab.submit(R"j({"id":")j" + id + R"j(","command":"exec sleep 1000"})j");
        lab.publish("alpha/cmd/cancel", i % 2 == 0 ? id : "");
        CHECK(lab.says("job/" + id, "CANCELED"));
    }
}

TEST_CASE("each rejection is told, also those that come together; an old job's record that was asked for again goes away again") {
    Lab lab(AGENT_ENTRY, quick_stop());
    REQUIRE(lab.says("submit_status", "ready"));
    for (int i = 0; i < 25; ++i) REQUIRE_FALSE(lab.run("j" + std::to_string(i), R"j({"id":"j)j" + std::to_string(i) + R"j(","command":"true"})j").empty());
    CHECK(eventually([&] { return lab.get("job/j0").empty(); }));
    for (const auto* bad : {"one", "two", "three"}) lab.submit(std::string(R"j({"command":"x",")j") + bad + "\":1}");
    lab.submit(R"j({"id":"j0","command":"true"})j");
    CHECK(lab.says("job/j0", "SUCCEEDED"));
    const auto told = lab.all("submit_status");
    for (const auto* bad : {"one", "two", "three"})
        CHECK_MESSAGE(std::ranges::any_of(told, [&](const auto& text) { return has(text, std::string("unknown key '") + bad); }), bad);
    CHECK(eventually([&] { return lab.get("job/j0").empty(); }));
    CHECK_FALSE(lab.get("job/j10").empty());
}

TEST_CASE("a job that its agent's death cuts off is LOST, and nothing of it runs on") {
    Lab lab(AGENT_ENTRY, quick_stop());
    lab.submit(R"j({"id":"cut","command":"echo up; (setsid sleep 1000 &); sleep 1000"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":"true"})j");
    REQUIRE(lab.says("job/next", "QUEUED"));
    lab.restart_agent(SIGKILL);
    CHECK(lab.says("job/cut", "LOST"));
    CHECK(lab.says("job/next", "SUCCEEDED"));
    CHECK(gone(lab, "cut"));
}

TEST_CASE("a failed attempt is followed by another one, and only the last is final") {
    Lab lab(AGENT_ENTRY);
    const auto record = lab.run("again", R"j({"id":"again","command":"echo x >> tries; exit 7","retries":{"max":2,"on":[7]}})j");
    CHECK(has(record, "\"FAILED\""));
    CHECK(has(record, "\"attempt\":3"));
    for (const auto& shown : lab.all("job/again")) CHECK((!has(shown, "FAILED") || has(shown, "\"attempt\":3")));
    CHECK(has(lab.run("count", R"j({"id":"count","command":"test $(wc -l < ../again/tries) = 3"})j"), "SUCCEEDED"));
}

TEST_CASE("a lost job that says so runs again, after its cleanup") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleaned >> trace"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"lost","command":"echo run >> trace; echo up; test $(grep -c run trace) = 2 || sleep 1000","retries":{"max":1,"on":["lost"]}})j");
    REQUIRE(lab.says("output", "up"));
    lab.restart_agent(SIGKILL);
    CHECK(lab.says("job/lost", "SUCCEEDED"));
    CHECK(has(lab.get("job/lost"), "\"attempt\":2"));
    CHECK(has(lab.run("look", R"j({"id":"look","command":"test \"$(head -3 ../lost/trace | tr '\\n' ' ')\" = 'run cleaned run '"})j"), "SUCCEEDED"));
}

TEST_CASE("a cleanup that a stop or a second death cuts off is made up for at the next start") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleans; [ -e ../go ] || sleep 1000; echo cleaned"}};
    Lab lab(AGENT_ENTRY, rules);
    submit_cut_and_next(lab, "touch ../go; echo next");
    lab.restart_agent(SIGTERM);
    REQUIRE(lab.says("output", "cleans"));
    CHECK(lab.says("job/cut", "LOST"));
    lab.restart_agent(SIGKILL);
    REQUIRE(eventually([&] { return std::ranges::count(lab.all("output"), "cleans") == 2; }));
    lab.restart_agent(SIGTERM);
    REQUIRE(eventually([&] { return std::ranges::count(lab.all("output"), "cleans") == 3; }));
    CHECK(has(lab.get("job/next"), "QUEUED"));
    CHECK(has(lab.get("job/cut"), "cleanup_due"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    lab.restart_agent(SIGTERM);
    CHECK(lab.says("job/next", "SUCCEEDED"));
    CHECK(!has(lab.get("job/cut"), "cleanup_due"));
    CHECK(has(lab.get("job/cut"), "LOST"));
}

TEST_CASE("when the cleanup of a lost job fails, a person has to look before anything else runs") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "[ -e ../go ]"}};
    Lab lab(AGENT_ENTRY, rules);
    submit_cut_and_next(lab, "true");
    lab.restart_agent(SIGKILL);
    CHECK(lab.says("state", "maintenance"));
    CHECK(has(lab.get("state"), "cut"));
    CHECK(lab.says("job/cut", "LOST"));
    CHECK(has(lab.ask(R"j({"id":"refused","command":"true"})j"), "rejected: maintenance"));
    CHECK(has(lab.get("job/next"), "QUEUED"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    lab.publish("alpha/cmd/resume", "");
    CHECK(lab.says("job/next", "SUCCEEDED"));
}

TEST_CASE("silence ends a job in its test phase, and in no other; output keeps it alive") {
    AgentRules rules = quick_stop();
    rules.phases["setup"] = Command{{"/bin/sh", "-c", "sleep 3"}};
    Lab lab(AGENT_ENTRY, rules);
    const auto silent = lab.run("silent", R"j({"id":"silent","command":"sleep 1000","output_timeout":"2s"})j");
    CHECK(has(silent, "\"TIMED_OUT\""));
    CHECK(has(silent, "no output"));
    CHECK(has(silent, R"j("setup":{"exit":0)j"));
    CHECK(gone(lab, "silent"));
    const auto talks = R"j({"id":"talks","command":"for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo $i; sleep 0.2; done","output_timeout":"2s"})j";
    CHECK(has(lab.run("talks", talks), "SUCCEEDED"));
}

TEST_CASE("a cancel lets a protected phase end, starts none after it, and cleans up") {
    AgentRules rules = quick_stop();
    rules.phases["provision"] = Command{{"/bin/sh", "-c", "echo provisions; while [ ! -e ../go ]; do sleep 0.05; done; touch provisioned"}};
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "touch cleaned"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"cut","provision_data":{"distro":"noble"},"command":"touch tested"})j");
    REQUIRE(lab.says("output", "provisions"));
    lab.publish("alpha/cmd/cancel", "cut");
    CHECK(lab.says("res/cancel", "canceling cut once its phase provision has ended"));
    CHECK(has(lab.get("job/cut"), "RUNNING"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    CHECK(lab.says("job/cut", "CANCELED"));
    const auto left = [&](const std::string& name) { return ::access((lab.agent->folder() + "/state/jobs/cut/" + name).c_str(), F_OK) == 0; };
    CHECK(left("provisioned"));
    CHECK_FALSE(left("tested"));
    CHECK(left("cleaned"));
}

TEST_CASE("a command that waited for its agent is answered") {
    Lab lab(AGENT_ENTRY);
    lab.agent->signal(SIGKILL);
    REQUIRE(eventually([&] { return lab.agent->ended().has_value(); }));
    lab.publish("alpha/cmd/drain", "");
    lab.agent->start();
    CHECK(lab.says("res/drain", "takes no more jobs"));
    CHECK(lab.says("state", "draining"));
}

TEST_CASE("maintenance and a drain last until resume, through the agent's deaths") {
    Lab lab(AGENT_ENTRY, quick_stop());
    lab.submit(R"j({"id":"broken","command":"echo up; while [ ! -e ../go ]; do sleep 0.05; done; exit 46"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"next","command":"true"})j");
    REQUIRE(lab.says("job/next", "QUEUED"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    REQUIRE(lab.says("state", "needs a person"));
    const auto comes_back = [&](const char* state) {
        const auto before = lab.get("state");
        lab.restart_agent(SIGKILL);
        return eventually([&] { return lab.get("state") != before; }) && lab.says("state", state);
    };
    CHECK(comes_back("needs a person"));
    CHECK(has(lab.ask(R"j({"id":"refused","command":"true"})j"), "rejected: maintenance: job broken ended with 46"));
    CHECK(has(lab.get("job/next"), "QUEUED"));
    lab.publish("alpha/cmd/resume", "");
    CHECK(lab.says("job/next", "SUCCEEDED"));
    lab.publish("alpha/cmd/drain", "");
    REQUIRE(lab.says("state", "draining"));
    CHECK(comes_back("draining"));
    lab.publish("alpha/cmd/resume", "");
    REQUIRE(lab.says("state", "ready"));
    CHECK(comes_back("ready"));
}

TEST_CASE("a job that waits for its next attempt is canceled while the last one is cleaned up after") {
    AgentRules rules = quick_stop();
    rules.phases["cleanup"] = Command{{"/bin/sh", "-c", "echo cleans; while [ ! -e ../go ]; do sleep 0.05; done"}};
    Lab lab(AGENT_ENTRY, rules);
    lab.submit(R"j({"id":"cut","command":"echo up; sleep 1000","retries":{"max":1,"on":["lost"]}})j");
    REQUIRE(lab.says("output", "up"));
    lab.restart_agent(SIGTERM);
    REQUIRE(lab.says("output", "cleans"));
    lab.publish("alpha/cmd/cancel", "cut");
    REQUIRE(lab.says("job/cut", "CANCELED"));
    std::ofstream(lab.agent->folder() + "/state/jobs/go") << "go";
    CHECK(lab.says("state", "ready"));
    CHECK(has(lab.get("job/cut"), "CANCELED"));
    CHECK(has(lab.run("next", R"j({"id":"next","command":"true"})j"), "SUCCEEDED"));
}

TEST_CASE("the higher priority starts first; what is not started in time expires") {
    Lab lab(AGENT_ENTRY);
    lab.submit(R"j({"id":"first","command":"echo up; while [ ! -e go ]; do sleep 0.05; done"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"low","command":"echo low >> ../order","priority":-1})j");
    lab.submit(R"j({"id":"plain","command":"echo plain >> ../order"})j");
    lab.submit(R"j({"id":"high","command":"echo high >> ../order","priority":1})j");
    lab.submit(R"j({"id":"never","command":"echo never >> ../order","priority":-2,"expires":"100ms"})j");
    CHECK(lab.says("job/high", "\"position\":1"));
    CHECK(lab.says("job/low", "\"position\":3"));
    CHECK(lab.says("job/never", "EXPIRED"));
    lab.publish("alpha/cmd/cancel", "first");
    CHECK(lab.says("job/low", "SUCCEEDED"));
    CHECK(has(lab.run("look", R"j({"id":"look","command":"test \"$(tr '\\n' ' ' < ../order)\" = 'high plain low '"})j"), "SUCCEEDED"));
}

TEST_CASE("a requester with a response topic gets its own answer, and the queue an estimate") {
    Lab lab(AGENT_ENTRY);
    CHECK(has(lab.run("ran", R"j({"id":"ran","command":"sleep 0.3"})j"), "SUCCEEDED"));
    const auto taken = lab.ask(R"j({"id":"long","command":"sleep 1000"})j");
    CHECK(has(taken, "\"status\":\"ok\""));
    CHECK(has(taken, "\"id\":\"long\""));
    CHECK(has(lab.ask(R"j({"id":"waits","command":"true"})j"), "\"position\":1"));
    CHECK(lab.says("job/waits", "\"estimate\":0.3"));
    CHECK(has(lab.ask(R"j({"id":"long","command":"other"})j"), "rejected: id used: long"));
    CHECK(has(lab.ask(R"j({"comand":"x"})j"), "unknown key 'comand'"));
    lab.publish("alpha/cmd/cancel", "long");
    CHECK(lab.says("job/waits", "SUCCEEDED"));
}

TEST_CASE("artifacts are in the record with size and hash; nothing outside the job's folder gets in") {
    Lab lab(AGENT_ENTRY);
    const auto record = lab.run("art", R"j({"id":"art","artifacts":["*.xml","deep/*","out/*","loop/*"],"command":"printf abc > $SUTFLEET_ARTIFACTS/a.txt; mkdir $SUTFLEET_ARTIFACTS/d deep; echo > $SUTFLEET_ARTIFACTS/d/e; ln -s /etc/passwd $SUTFLEET_ARTIFACTS/link; mkfifo $SUTFLEET_ARTIFACTS/fifo; echo x > r.xml; echo y > deep/y; ln -s /etc out; ln -s /etc/passwd p.xml; ln -s . loop"})j");
    CHECK(has(record, "SUCCEEDED"));
    INFO(record);
    CHECK(has(record, R"("artifacts":[{"name":"a.txt","bytes":3,"sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},)"
                      R"({"name":"d/e","bytes":1,)"));
    CHECK(has(record, R"({"name":"deep/y","bytes":2,)"));
    CHECK(has(record, R"({"name":"r.xml","bytes":2,)"));
    for (const auto* out : {"passwd", "link", "fifo", "p.xml", "loop"}) CHECK_FALSE(has(record.substr(record.find("artifacts\":")), out));
    CHECK_FALSE(has(lab.run("plain", R"j({"id":"plain","command":"true"})j"), "artifacts"));
    CHECK(has(lab.ask(R"j({"artifacts":["../x"],"command":"true"})j"), "rejected: 'artifacts' must be a list"));
    const auto many = lab.run("many", R"j({"id":"many","command":"cd $SUTFLEET_ARTIFACTS; for i in $(seq 300); do echo $i > file-$i; done"})j");
    CHECK(has(many, "\"artifacts_more\":"));
    CHECK(many.size() < 20'000);
}

TEST_CASE("the oldest job folders go when there is too much of them; their ids stay known") {
    AgentRules rules;
    rules.jobs.max_bytes = 3 * 1024 * 1024;
    Lab lab(AGENT_ENTRY, rules);
    const auto folder = [&](const std::string& id) { return lab.agent->folder() + "/state/jobs/" + id; };
    const auto there = [&](const std::string& id) { return ::access(folder(id).c_str(), F_OK) == 0; };
    for (const auto* id : {"m1", "m2"})
        CHECK(has(lab.run(id, R"j({"id":")j" + std::string(id) + R"j(","command":"head -c 1048576 /dev/urandom > big"})j"), "SUCCEEDED"));
    lab.publish("alpha/cmd/prune", "dry-run");
    CHECK(lab.says("res/prune", "would remove 0 job folders"));
    CHECK(has(lab.run("m3", R"j({"id":"m3","command":"head -c 1500000 /dev/urandom > big"})j"), "SUCCEEDED"));
    CHECK(eventually([&] { return !there("m1"); }));
    CHECK(there("m2"));
    CHECK(there("m3"));
    CHECK(has(lab.ask(R"j({"id":"m1","command":"head -c 1048576 /dev/urandom > big"})j"), "SUCCEEDED"));  // as it ended
    CHECK_FALSE(there("m1"));
    lab.restart_agent(SIGTERM);
    CHECK(has(lab.run("m4", R"j({"id":"m4","command":"head -c 1048576 /dev/urandom > big"})j"), "SUCCEEDED"));
    CHECK(eventually([&] { return !there("m2"); }));
    lab.publish("alpha/cmd/prune", "all");
    CHECK(lab.says("res/prune", "expected nothing or dry-run"));
}

TEST_CASE("what is submitted while the agent is away is answered where everybody can see it, each in its turn") {
    Lab lab(AGENT_ENTRY);
    REQUIRE(lab.says("submit_status", "ready"));
    for (int round = 0; round < 5; ++round) {
        lab.agent->stop(SIGTERM);
        const auto mark = lab.all("submit_status").size();
        const auto said = [&](const std::string& text) {
            return eventually([&] {
                const auto all = lab.all("submit_status");
                return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(mark), all.end(), [&](const auto& one) { return has(one, text); });
            });
        };
        for (const auto* one : {"a", "b"}) lab.submit(R"({"id":"away-)" + std::to_string(round) + one + R"(","command":"true"})");
        lab.submit(R"({"no such key":1})");
        lab.agent->start();
        for (const auto* one : {"a:", "b:"}) CHECK(said("accepted away-" + std::to_string(round) + one));
        CHECK(said("rejected: "));
    }
}

TEST_CASE("a secret's value is in no log, on no topic and not on stdout") {
    Lab lab(AGENT_ENTRY);
    const auto folder = lab.agent->folder() + "/secrets";
    REQUIRE(::mkdir(folder.c_str(), 0700) == 0);
    REQUIRE(sys::write_file_atomic(folder + "/TOKEN", "s3cr3t-value\n", 0600, sys::Durability::fast));
    lab.restart_agent(SIGTERM);
    CHECK(has(lab.run("leak", R"j({"id":"leak","command":"printf s3cr; sleep 0.2; echo 3t-value; echo; printf 's3cr3t-val'"})j"), "\"log_bytes\":15"));
    CHECK(lab.says("output", "s3cr3t-val"));
    const auto log = sys::read_file(lab.agent->folder() + "/state/jobs/leak/output.log", 1024).value_or("");
    CHECK(log == "***\n\ns3cr3t-val");
    CHECK_FALSE(has(lab.agent->out(), "s3cr3t-value"));
    for (const auto& shown : lab.all("output")) CHECK_FALSE(has(shown, "s3cr3t-value"));
}

TEST_CASE("a text that a crashed broker delivers again does not run again") {
    Lab lab(AGENT_ENTRY, {}, "autosave_on_changes false\nautosave_interval 100000\n");
    lab.agent->signal(SIGTERM);
    REQUIRE(eventually([&] { return lab.agent->ended().has_value(); }));
    lab.submit("echo x >> ../../ran");
    lab.publish("alpha/mark", "it has the text");
    REQUIRE(lab.says("mark", "it has the text"));
    lab.broker.stop();  // saves what waits for the agent
    lab.broker.start();
    lab.agent->start();
    const auto ran = [&] { return sys::read_file(lab.agent->folder() + "/state/ran", 1024).value_or(""); };
    REQUIRE(eventually([&] { return ran() == "x\n"; }));
    lab.broker.kill();  // before it saves that the text was delivered
    lab.broker.start();
    CHECK(lab.says("submit_status", "rejected: duplicate of j"));
    CHECK(has(lab.run("after", R"j({"id":"after","command":"true"})j"), "SUCCEEDED"));
    CHECK(ran() == "x\n");
}

TEST_CASE("the same text again over a new connection is a new job when the broker did not crash") {
    Lab lab(AGENT_ENTRY, {}, "sys_interval 1\n");
    const auto ran = [&] { return sys::read_file(lab.agent->folder() + "/state/ran", 1024).value_or(""); };
    lab.submit("echo x >> ../../ran");
    REQUIRE(eventually([&] { return ran() == "x\n"; }));
    std::this_thread::sleep_for(5s);  // a broker that is as young as the loss would be taken for a new one
    lab.take_over();  // the agent loses its connection
    lab.submit("echo x >> ../../ran");
    CHECK(eventually([&] { return ran() == "x\nx\n"; }));
}

TEST_CASE("behind a hold the running job goes on and submits are taken; none is started until its time is over") {
    Lab lab(AGENT_ENTRY);
    lab.submit(R"j({"id":"runs","command":"echo up; while ! [ -e go ]; do sleep 0.05; done"})j");
    REQUIRE(lab.says("output", "up"));
    lab.publish("alpha/cmd/hold", "300 the conf changed");
    REQUIRE(lab.says("state", R"("why":"no job is started: the conf changed")"));
    lab.submit(R"j({"id":"waits","command":"true"})j");
    REQUIRE(lab.says("job/waits", "QUEUED"));
    REQUIRE(sys::write_file_atomic(lab.agent->folder() + "/state/jobs/runs/go", "", 0644, sys::Durability::fast));
    CHECK(lab.says("job/runs", "SUCCEEDED"));
    CHECK(lab.says("jobs", R"("running":null)"));
    CHECK(has(lab.get("job/waits"), "QUEUED"));
    for (const auto* bad : {"", "soon", "301 x", "-1", "5x"}) {
        lab.publish("alpha/cmd/hold", bad);
        CHECK_MESSAGE(lab.says("res/hold", "expected seconds, at most 300, and why"), bad);
    }
    lab.publish("alpha/cmd/hold", "1");
    CHECK(lab.says("job/waits", "SUCCEEDED"));
}
