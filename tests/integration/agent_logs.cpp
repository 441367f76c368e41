// What a subprocess and jobs write: in the files, on stdout and on MQTT, with a broker and a disk that fail.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "conf/agent_conf.hpp"
#include "job_book.hpp"
#include "lab.hpp"
#include "output_reader.hpp"
#include "small_disk.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::Lab;
using test::OutputReader;
using test::shell_rules;

namespace {

constexpr std::size_t k_limit = 256 * 1024 * 1024;

std::string content(const std::string& path) { return sys::read_file(path, k_limit).value_or(""); }

/// All files of agent.log, oldest first, as one text.
std::string whole_log(const test::PrivateAgent& agent, unsigned keep = 100) {
    std::string out;
    for (unsigned n = keep; n > 0; --n) out += content(agent.folder() + "/state/log/agent.log." + std::to_string(n));
    return out + agent.log();
}

/// A subprocess that runs the script as soon as `go()` is called.
AgentRules on_go(const test::TempFolder& folder, const std::string& script) {
    return shell_rules("while [ ! -e " + folder.path() + "/go ]; do sleep 0.02; done; " + script + "; exec sleep 1000");
}
void go(const test::TempFolder& folder) { std::ofstream(folder.path() + "/go") << "go"; }

std::string numbers(int from, int to, const std::string& text) {
    std::string out;
    for (int n = from; n <= to; ++n) out += text + std::to_string(n) + "\n";
    return out;
}

std::uint64_t status_kib(pid_t pid, const std::string& key) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with(key + ":")) return std::stoull(line.substr(key.size() + 1));
    return 0;
}

nlohmann::json tail(Lab& lab, const std::string& payload) {
    const auto before = lab.all("res/tail").size();
    lab.publish("alpha/cmd/tail", payload);
    if (!eventually([&] { return lab.all("res/tail").size() > before; })) return {};
    return nlohmann::json::parse(lab.all("res/tail").back(), nullptr, false);
}

}  // namespace

TEST_CASE("a flood over rotated files while the broker is away is on MQTT afterwards, to the byte") {
    const test::TempFolder folder;
    auto rules = on_go(folder, "seq -f 'a line of the flood, number %.0f' 1 60000");
    rules.log = {100'000, 50};
    Lab lab(AGENT_ENTRY, rules);
    OutputReader reader(lab.broker.url());
    const auto text = numbers(1, 60'000, "a line of the flood, number ");
    SUBCASE("away all the time") {
        lab.broker.stop();
        go(folder);
        REQUIRE(eventually([&] { return whole_log(*lab.agent).size() == text.size(); }));
        lab.broker.start();
    }
    SUBCASE("goes and comes back in the middle of it") {
        go(folder);
        for (int i = 0; i < 3; ++i) {
            eventually([&] { return reader.stream().bytes.size() > static_cast<std::size_t>(i) * 300'000; }, 5s);
            lab.broker.stop();
            lab.broker.start();
        }
    }
    REQUIRE(eventually([&] { return reader.stream().end >= text.size(); }, 60s));
    const auto& got = reader.stream();
    CHECK(got.bytes == text);
    CHECK(got.missing == 0);
    CHECK(got.dropped == 0);
    CHECK(got.contradictions == 0);
    CHECK(reader.empty_payloads() == 0);
    CHECK(whole_log(*lab.agent) == text);
    CHECK(lab.agent->out() == text);
    CHECK(std::filesystem::exists(lab.agent->folder() + "/state/log/agent.log.10"));
    for (int n = 1; n < 15; ++n) CHECK(content(lab.agent->folder() + "/state/log/agent.log." + std::to_string(n)).ends_with('\n'));
}

TEST_CASE("what the rotated files do not reach any more is counted as dropped, to the byte") {
    const test::TempFolder folder;
    auto rules = on_go(folder, "seq -f 'a line of the flood, number %.0f' 1 60000");
    rules.log = {100'000, 3};
    Lab lab(AGENT_ENTRY, rules);
    OutputReader reader(lab.broker.url());
    const auto text = "up\n" + numbers(1, 60'000, "a line of the flood, number ");
    lab.publish("alpha/cmd/none", "x");
    lab.broker.stop();
    go(folder);
    REQUIRE(eventually([&] { return has(lab.agent->log(), "number 60000\n"); }));
    const auto kept = whole_log(*lab.agent);
    CHECK(kept.size() > 300'000);
    CHECK(kept.size() <= 400'000);
    lab.broker.start();
    REQUIRE(eventually([&] { return reader.stream().bytes.ends_with("number 60000\n"); }, 60s));
    const auto& got = reader.stream();
    CHECK(got.bytes == kept);
    CHECK(got.begin == text.size() - 3 - kept.size());
    CHECK(got.dropped == got.begin);
    CHECK(got.contradictions == 0);
}

TEST_CASE("log: {max_bytes, keep} is reloaded in place") {
    const test::TempFolder folder;
    auto rules = on_go(folder, "seq -f 'number %.0f' 1 30000");
    Lab lab(AGENT_ENTRY, rules);
    rules.log = {65536, 2};
    AgentConf conf{*SutName::parse("alpha"), "test", lab.broker.url(), "", "b", rules};
    REQUIRE(sys::write_file_atomic(lab.agent->folder() + "/conf/.g1/agent.json", encode_agent_conf(conf), 0600, sys::Durability::fast));
    REQUIRE(eventually([&] { return has(lab.agent->err(), "the conf was reloaded"); }));
    go(folder);
    REQUIRE(eventually([&] { return has(lab.agent->log(), "number 30000\n"); }));
    CHECK(content(lab.agent->folder() + "/state/log/agent.log.2").size() > 60'000);
    CHECK_FALSE(std::filesystem::exists(lab.agent->folder() + "/state/log/agent.log.3"));
    CHECK(numbers(1, 30'000, "number ").ends_with(whole_log(*lab.agent)));
}

TEST_CASE("any bytes at all: exact in the file and on stdout, and accounted for on MQTT") {
    const test::TempFolder folder;
    const auto rules = on_go(folder,
                             "echo; echo; printf '\\n'; printf 'a\\0b\\0\\n\\377\\376\\303\\n\\033[31mred\\033[0m\\n'; for i in 1 2 3; do printf '%s0%%\\r' $i; sleep 0.1; done; echo done; "
                             "sleep 0.2; echo; sleep 0.2; head -c 67108864 /dev/zero | tr '\\0' z; echo; echo '  '; printf 'last line'");
    Lab lab(AGENT_ENTRY, rules);
    OutputReader reader(lab.broker.url());
    [[maybe_unused]] const auto before = status_kib(lab.agent->pid(), "VmHWM");
    go(folder);
    const auto text = std::string("\n\n\na\0b\0\n\xff\xfe\xc3\n\x1b[31mred\x1b[0m\n10%\r20%\r30%\rdone\n\n", 43) + std::string(67'108'864, 'z') + "\n  \nlast line";
    REQUIRE(eventually([&] { return reader.stream().end >= text.size(); }, 120s));
    const auto& got = reader.stream();
    CHECK(got.bytes == text);  // the partial line too: a prompt is shown
    CHECK(got.contradictions == 0);
    CHECK(got.dropped == 0);
    CHECK(reader.empty_payloads() == 0);
    CHECK(whole_log(*lab.agent) == text);
    CHECK(lab.agent->out() == text);
    CHECK(lab.get("output") == "last line");
#ifndef __SANITIZE_ADDRESS__
    CHECK(status_kib(lab.agent->pid(), "VmHWM") - before < 24 * 1024);
#endif
}

TEST_CASE("an empty line alone clears no retained topic") {
    const test::TempFolder folder;
    Lab lab(AGENT_ENTRY, on_go(folder, "echo first; sleep 0.3; echo; sleep 0.3"));
    OutputReader reader(lab.broker.url());
    go(folder);
    REQUIRE(eventually([&] { return reader.stream().end == 7; }));
    CHECK(reader.newest() == "\n");
    CHECK(reader.stream().bytes == "first\n\n");
    CHECK(reader.empty_payloads() == 0);
    OutputReader late(lab.broker.url());  // takes the session over; what is retained is told apart below
    CHECK(eventually([&] { return lab.get("output") == "\n"; }));
}

TEST_CASE("what is written while a process dies is there, also by a child that outlives it for a moment") {
    Lab lab(AGENT_ENTRY);
    OutputReader reader(lab.broker.url());
    std::string text;
    for (int n = 1; n <= 10; ++n) {
        const auto id = "dies" + std::to_string(n);
        const auto record = lab.run(id, R"j({"id":")j" + id + R"j(","command":"seq 1 20000; (seq 20001 20100 &) ; printf 'last words'; kill -9 $$"})j");
        CHECK(has(record, "\"exit\":137"));
        const auto file = content(lab.agent->folder() + "/state/jobs/" + id + "/output.log");
        CHECK(has(file, "\n20000\n"));
        CHECK(has(file, "last words"));
        CHECK(has(record, "\"log_bytes\":" + std::to_string(file.size())));
        CHECK(eventually([&] { return reader.stream(id).end == file.size(); }));
        CHECK(reader.stream(id).bytes == file);
        CHECK(reader.stream(id).contradictions == 0);
    }
}

TEST_CASE("what a subprocess writes when it is told to stop is published before the agent ends") {
    Lab lab(AGENT_ENTRY, shell_rules("trap 'seq -f \"a line of the farewell, number %.0f\" 1 15000; exit 0' TERM; echo up; while :; do sleep 0.05; done"));
    OutputReader reader(lab.broker.url());
    REQUIRE(lab.says("output", "up"));
    lab.agent->stop(SIGTERM);
    const auto text = numbers(1, 15'000, "a line of the farewell, number ");
    CHECK(eventually([&] { return reader.stream().bytes.ends_with("number 15000\n"); }));
    CHECK(has(reader.stream().bytes, text));  // the shell may say that its sleep was terminated
    CHECK((whole_log(*lab.agent).ends_with(reader.stream().bytes)));
    CHECK(reader.stream().contradictions == 0);
}

TEST_CASE("the output of a second attempt goes on behind the first one's, in the file and by its offsets") {
    Lab lab(AGENT_ENTRY);
    OutputReader reader(lab.broker.url());
    CHECK(has(lab.run("again", R"j({"id":"again","command":"echo try; exit 7","retries":{"max":2}})j"), "\"log_bytes\":12"));
    REQUIRE(eventually([&] { return reader.stream("again").end == 12; }));
    CHECK(reader.stream("again").bytes == "try\ntry\ntry\n");
    CHECK(reader.stream("again").contradictions == 0);
}

TEST_CASE("a full disk: stdout and MQTT go on, health says so and what to do, and it recovers by itself") {
    const test::TempFolder folder;
    auto rules = shell_rules("i=0; while [ ! -e " + folder.path() + "/go ]; do i=$((i+1)); echo line $i of the subprocess; sleep 0.01; done; echo end; exec sleep 1000");
    rules.health.heartbeat = 200ms;
    Lab lab(AGENT_ENTRY, rules);
    lab.agent->stop(SIGTERM);
    const test::SmallDisk disk(lab.agent->folder() + "/state", 1024 * 1024);
    OutputReader reader(lab.broker.url());
    const auto said_before = lab.agent->out().size();
    lab.agent->start();
    REQUIRE(eventually([&] { return has(lab.agent->log(), "line 50 "); }));
    disk.fill();
    CHECK(lab.says("agent", "unhealthy: no room for logs, make some on the state volume"));
    CHECK(lab.says("state", "No space left on device"));
    CHECK(eventually([&] { return has(lab.agent->heartbeat(), "health unhealthy\nwhy no room for logs"); }));
    const auto on_disk = lab.agent->log();
    const auto newest = [&] { return std::atoi(reader.newest().substr(reader.newest().rfind("line") == std::string::npos ? 0 : reader.newest().rfind("line") + 5).c_str()); };
    reader.stream();
    const auto then = newest();
    CHECK(eventually([&] { return reader.stream(), newest() > then + 200; }));
    CHECK(lab.agent->log() == on_disk);
    CHECK(has(lab.agent->out(), "line " + std::to_string(then + 200) + " "));
    disk.make_room();
    CHECK(eventually([&] { return has(lab.agent->heartbeat(), "health ok"); }));
    CHECK(lab.says("agent", "ok"));
    CHECK(eventually([&] { return !has(lab.get("state"), "No space"); }));
    go(folder);
    REQUIRE(eventually([&] { return has(lab.agent->log(), "\nend\n"); }));
    const auto log = lab.agent->log();
    CHECK(log == lab.agent->out().substr(said_before));  // memory held it all: nothing is missing
    CHECK(log.starts_with("line 1 of the subprocess\nline 2 "));
    CHECK(eventually([&] { return reader.stream().end == log.size(); }));
    CHECK(reader.stream().bytes == log);
    CHECK(reader.stream().dropped == 0);
    CHECK(reader.stream().contradictions == 0);
}

TEST_CASE("a flood on a full disk: what is missing is marked in the file, counted, and whole on stdout and MQTT") {
    const test::TempFolder folder;
    auto rules = on_go(folder, "seq -f 'a line of the flood, number %.0f' 1 100000; while [ ! -e " + folder.path() + "/more ]; do sleep 0.02; done; echo end");
    rules.health.heartbeat = 200ms;
    Lab lab(AGENT_ENTRY, rules);
    lab.agent->stop(SIGTERM);
    const test::SmallDisk disk(lab.agent->folder() + "/state", 8 * 1024 * 1024);
    OutputReader reader(lab.broker.url());
    const auto said_before = lab.agent->out().size();
    lab.agent->start();
    REQUIRE(lab.says("submit_status", "ready"));
    disk.fill(200'000);
    go(folder);
    const auto text = numbers(1, 100'000, "a line of the flood, number ");
    REQUIRE(eventually([&] { return lab.agent->out().size() - said_before == text.size(); }));
    CHECK(eventually([&] { return has(lab.agent->heartbeat(), "no room for logs"); }));
    disk.make_room();
    CHECK(eventually([&] { return !has(lab.agent->heartbeat(), "no room for logs"); }));
    std::ofstream(folder.path() + "/more") << "x";
    REQUIRE(eventually([&] { return has(lab.agent->log(), "\nend\n"); }));
    const auto log = lab.agent->log();
    const auto mark = log.find("\n[sutfleet: ");
    REQUIRE(mark != std::string::npos);
    const auto after = log.find('\n', mark + 1) + 1;
    CHECK(has(log.substr(mark, after - mark), " bytes are missing here: No space left on device]\n"));
    const auto missing = std::stoull(log.substr(mark + 12));
    CHECK(mark + missing + (log.size() - after) == text.size() + 4);
    CHECK(text.starts_with(log.substr(0, mark)));
    CHECK((text + "end\n").ends_with(log.substr(after)));
    REQUIRE(eventually([&] { return reader.stream().end == text.size() + 4; }));
    const auto& got = reader.stream();
    CHECK(got.dropped == got.missing);  // MQTT read from memory what it could
    CHECK(got.bytes.size() + got.missing == text.size() + 4);
    CHECK(got.contradictions == 0);
    const auto answer = tail(lab, R"({"log":"agent","offset":)" + std::to_string(text.size() - 7) + "}");
    CHECK(answer["data"]["text"] == "100000\nend\n");
}

TEST_CASE("an agent that starts on a full disk, without a log file, runs and says why it is unhealthy") {
    const test::TempFolder folder;
    auto rules = shell_rules("i=0; while [ ! -e " + folder.path() + "/go ]; do i=$((i+1)); echo line $i; sleep 0.02; done; echo end; exec sleep 1000");
    rules.health.heartbeat = 200ms;
    Lab lab(AGENT_ENTRY, rules);
    lab.agent->stop(SIGTERM);
    const auto said_before = lab.agent->out().size();
    const test::SmallDisk disk(lab.agent->folder() + "/state", 256 * 1024);
    std::filesystem::create_directory(lab.agent->folder() + "/state/jobs");
    std::ofstream(lab.agent->folder() + "/state/jobs.journal") << "";
    int inodes = 0;  // of which a tmpfs has a number, too
    while (::mkdir((lab.agent->folder() + "/state/d" + std::to_string(++inodes)).c_str(), 0700) == 0) {}
    OutputReader reader(lab.broker.url());
    lab.agent->start();
    CHECK(lab.says("agent", "unhealthy: no room for logs"));
    CHECK(eventually([&] { return has(lab.agent->out().substr(said_before), "line 50\n"); }));
    CHECK(eventually([&] { return has(reader.stream().bytes, "line 50\n"); }));
    CHECK(lab.agent->log().empty());
    for (; inodes > 0; --inodes) ::rmdir((lab.agent->folder() + "/state/d" + std::to_string(inodes)).c_str());
    CHECK(lab.says("agent", "ok"));
    go(folder);
    CHECK(eventually([&] { return has(lab.agent->log(), "\nend\n"); }));
    CHECK(lab.agent->log() == lab.agent->out().substr(said_before));
    CHECK(eventually([&] { return reader.stream().bytes == lab.agent->log(); }));
}

TEST_CASE("a job on a full disk ends as it would, with its output on stdout and MQTT") {
    auto rules = AgentRules{};
    rules.health.heartbeat = 200ms;
    Lab lab(AGENT_ENTRY, rules);
    lab.agent->stop(SIGTERM);
    const test::SmallDisk disk(lab.agent->folder() + "/state", 1024 * 1024);
    OutputReader reader(lab.broker.url());
    lab.agent->start();
    REQUIRE(lab.says("submit_status", "ready"));
    lab.submit(R"j({"id":"full","command":"echo up; while [ ! -e ../../go ]; do sleep 0.02; done; seq 1 20000; echo end; while [ ! -e ../../on ]; do sleep 0.02; done; exit 3"})j");
    REQUIRE(lab.says("output", "up"));
    disk.fill();
    std::ofstream(lab.agent->folder() + "/state/go") << "";
    CHECK(lab.says("agent", "unhealthy: no room for logs"));
    CHECK(eventually([&] { return reader.stream("full").bytes.ends_with("\nend\n"); }));
    lab.submit(R"j({"id":"refused","command":"true"})j");
    CHECK(lab.says("submit_status", "rejected: no room for logs"));
    std::filesystem::create_directory(lab.agent->folder() + "/state/on");  // a full disk still has inodes
    CHECK(lab.says("job/full", "\"FAILED\""));
    CHECK(lab.says("submit_status", "rejected: no room for logs"));
    disk.make_room();
    CHECK(lab.says("submit_status", "ready"));
    CHECK(lab.says("agent", "ok"));
    const auto text = "up\n" + numbers(1, 20'000, "") + "end\n";
    CHECK(eventually([&] { return content(lab.agent->folder() + "/state/jobs/full/output.log") == text; }));
    CHECK(reader.stream("full").bytes == text);
    CHECK(has(lab.get("job/full"), "\"log_bytes\":" + std::to_string(text.size())));
    CHECK(has(lab.get("job/full"), "\"dropped\":0"));
}

TEST_CASE("what becomes of jobs while the journal has no room is in it when there is room again") {
    Lab lab(AGENT_ENTRY);
    lab.agent->stop(SIGTERM);
    const test::SmallDisk disk(lab.agent->folder() + "/state", 1024 * 1024);
    lab.agent->start();
    REQUIRE(lab.says("submit_status", "ready"));
    lab.submit(R"j({"id":"runs","command":"exec sleep 1000"})j");
    constexpr int k_jobs = 60;  // more than the pages of the file have left
    for (int i = 0; i < k_jobs; ++i) lab.submit(R"j({"id":"waits)j" + std::to_string(i) + R"j(","command":"true"})j");
    REQUIRE(lab.says("submit_status", "60 queued"));
    disk.fill();
    for (int i = 0; i < k_jobs; ++i) lab.publish("alpha/cmd/cancel", "waits" + std::to_string(i));
    CHECK(lab.says("submit_status", " 0 queued"));
    CHECK(lab.says("job/waits59", "\"CANCELED\""));
    CHECK(lab.says("res/cancel", "canceled waits59; not on disk yet: "));
    const auto journalled = [&] {
        int canceled = 0;
        const auto text = content(lab.agent->folder() + "/state/jobs.journal");
        for (auto at = text.find("\"CANCELED\""); at != std::string::npos; at = text.find("\"CANCELED\"", at + 1)) ++canceled;
        return canceled;
    };
    CHECK(journalled() < k_jobs);
    disk.make_room();
    REQUIRE(eventually([&] { return journalled() == k_jobs; }));
    lab.agent->stop(SIGKILL);
    const auto book = agent::JobBook::open(lab.agent->folder() + "/state", *SutName::parse("alpha"), sys::wall_now());
    REQUIRE(book);
    CHECK((*book)->queued().empty());
}

TEST_CASE("cmd/tail: pieces of the agent's log and of jobs', by offset") {
    const test::TempFolder folder;
    auto rules = on_go(folder, "seq -f 'number %.0f' 1 30000");
    rules.log = {65536, 50};
    Lab lab(AGENT_ENTRY, rules);
    CHECK(tail(lab, "agent")["data"]["bytes"] == 0);
    go(folder);
    const auto text = numbers(1, 30'000, "number ");
    REQUIRE(eventually([&] { return whole_log(*lab.agent).size() == text.size(); }));
    std::string all;
    for (std::uint64_t at = 0; at < text.size();) {
        const auto answer = tail(lab, R"({"log":"agent","offset":)" + std::to_string(at) + R"(,"bytes":65536,"transaction":)" + std::to_string(at) + "}");
        REQUIRE(answer["status"] == "ok");
        CHECK(answer["transaction"] == at);
        CHECK(answer["data"]["offset"] == at);
        CHECK(answer["data"]["end"] == text.size());
        REQUIRE(answer["data"]["bytes"] > 0);
        all += answer["data"]["text"].get<std::string>();
        at += answer["data"]["bytes"].get<std::uint64_t>();
    }
    CHECK(all == text);
    CHECK(tail(lab, "agent -13")["data"]["text"] == "number 30000\n");
    CHECK(tail(lab, "agent 999999999")["data"]["bytes"] == 0);
    CHECK(tail(lab, "")["data"]["bytes"] == 16384);

    CHECK(has(lab.run("j1", R"j({"id":"j1","command":"echo one; printf '\\377'; echo two"})j"), "SUCCEEDED"));
    CHECK(tail(lab, "j1")["data"]["text"] == "one\n\xef\xbf\xbdtwo\n");
    CHECK(tail(lab, "j1 4 1")["data"]["bytes"] == 1);
    lab.submit(R"j({"id":"runs","command":"echo so far; sleep 1000"})j");
    REQUIRE(lab.says("output", "so far"));
    CHECK(tail(lab, "runs")["data"]["text"] == "so far\n");
    lab.restart_agent(SIGKILL);
    CHECK(tail(lab, "runs")["data"]["text"] == "so far\n");
    CHECK(has(tail(lab, "agent 0 10")["data"]["text"], "number 1\n"));  // what the earlier life wrote
}

TEST_CASE("cmd/tail: no path, no link, no end of patience") {
    Lab lab(AGENT_ENTRY);
    for (const auto* bad : {"../journal", "/etc/passwd", R"({"job":"../../etc"})", "nosuch"}) CHECK(tail(lab, bad)["status"] == "error");
    CHECK(has(lab.run("liar", R"j({"id":"liar","command":"rm -f output.log; ln -s /etc/passwd output.log"})j"), "SUCCEEDED"));
    CHECK(tail(lab, "liar")["status"] == "error");
    CHECK(has(lab.run("pipe", R"j({"id":"pipe","command":"rm -f output.log; mkfifo output.log"})j"), "SUCCEEDED"));
    CHECK(tail(lab, "pipe")["status"] == "error");
    CHECK(has(lab.run("dir", R"j({"id":"dir","command":"cd ..; mv dir elsewhere; mkdir x; echo secret > x/output.log; ln -s x dir"})j"), "dir"));
    CHECK(tail(lab, "dir")["status"] == "error");
    // A thousand questions at once, of the largest kind: the loop goes on.
    CHECK(has(lab.run("big", R"j({"id":"big","command":"head -c 1000000 /dev/zero"})j"), "SUCCEEDED"));
    for (int i = 0; i < 400; ++i) lab.publish("alpha/cmd/tail", "big 0 65536");
    CHECK(has(lab.run("after", R"j({"id":"after","command":"true"})j"), "SUCCEEDED"));
    CHECK(lab.all("res/tail").size() > 10);
}
