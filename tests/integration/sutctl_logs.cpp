// `sutctl logs`: the log from the agent's file, and what follows by offset.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>
#include <fstream>

#include "lab.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using test::Lab;
using test::shell_rules;

namespace {

/// A `sutctl logs` that runs, its data and its messages apart.
class Logs {
  public:
    Logs(const std::string& broker_url, const std::vector<std::string>& words) {
        std::vector<std::string> argv{SUTCTL, "logs"};
        argv.insert(argv.end(), words.begin(), words.end());
        const auto to = [&](const char* name) {
            return sys::UniqueFd(::open((folder_.path() + name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        };
        const auto out = to("/out"), err = to("/err");
        const auto child = sys::spawn({argv,
                                       {"SUTFLEET_BROKER=" + broker_url, "SUTFLEET_USER=operator", "SUTFLEET_PASSWORD=x", "PATH=/usr/bin:/bin"},
                                       {}, -1, out.get(), err.get()});
        REQUIRE(child);
        pid_ = child->pid;
    }
    ~Logs() {
        if (pid_ > 0) ::kill(pid_, SIGKILL), ::waitpid(pid_, nullptr, 0);
    }
    Logs(const Logs&) = delete;
    Logs& operator=(const Logs&) = delete;

    [[nodiscard]] std::string out() const { return sys::read_file(folder_.path() + "/out", 1 << 28).value_or(""); }
    [[nodiscard]] std::string err() const { return sys::read_file(folder_.path() + "/err", 1 << 28).value_or(""); }
    /// Its exit code; -1 when it does not end.
    int end(int signal = 0) {
        if (signal != 0) ::kill(pid_, signal);
        int status = 0;
        if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, 60s)) return -1;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

  private:
    test::TempFolder folder_;
    pid_t pid_ = -1;
};

/// What it prints when it is run to its end.
std::string logs(const std::string& url, const std::vector<std::string>& words) {
    Logs run(url, words);
    CHECK(run.end() == 0);
    CHECK(run.err().empty());
    return run.out();
}

std::string numbers(int from, int to) {
    std::string out;
    for (int n = from; n <= to; ++n) out += "a line of the log, number " + std::to_string(n) + "\n";
    return out;
}

}  // namespace

TEST_CASE("sutctl logs: all of the log over its rotated files, or its last lines") {
    auto rules = shell_rules("seq -f 'a line of the log, number %.0f' 1 20000; printf 'no newline'; exec sleep 1000");
    rules.log = {65536, 50};
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(lab.says("output", "no newline"));
    const auto url = lab.broker.url();
    const auto text = numbers(1, 20'000) + "no newline";
    CHECK(logs(url, {"alpha"}) == text);
    CHECK(logs(url, {"alpha", "--tail", "3"}) == numbers(19'999, 20'000) + "no newline");
    CHECK(logs(url, {"alpha", "--tail", "12000"}) == numbers(8002, 20'000) + "no newline");
    CHECK(logs(url, {"alpha", "--tail", "99999999"}) == text);
    CHECK(logs(url, {"alpha", "--tail", "0"}).empty());
    lab.agent->stop(SIGTERM);
    REQUIRE(lab.says("agent", "offline"));
    lab.agent->start();
    REQUIRE(eventually([&] { return lab.get("agent") != "offline"; }));
    CHECK(eventually([&] { return logs(url, {"alpha"}) == text + text; }));
}

TEST_CASE("sutctl logs: of a job, byte by byte; of what is not there, why") {
    Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();
    CHECK(has(lab.run("bytes", R"j({"id":"bytes","command":"seq 1 50000; printf 'a\\0\\377\\r\\n\\n'; printf end"})j"), "SUCCEEDED"));
    std::string text;
    for (int n = 1; n <= 50'000; ++n) text += std::to_string(n) + "\n";
    text += std::string("a\0\xff\r\n\nend", 9);
    CHECK(logs(url, {"alpha", "bytes"}) == text);
    CHECK(logs(url, {"-f", "alpha", "bytes"}) == text);
    CHECK(logs(url, {"--tail", "2", "alpha", "bytes"}) == "\nend");
    CHECK(logs(url, {"--json", "--tail", "1", "alpha", "bytes"}) ==
          "{\"job\":\"bytes\",\"stream\":\"job\",\"offset\":" + std::to_string(text.size() - 3) + ",\"output\":\"end\"}\n");
    CHECK(has(logs(url, {"alpha"}), "end"));  // without a command, the newest of its jobs
    Logs other(url, {"alpha", "nosuch"});
    CHECK(other.end() == 4);
    lab.agent->stop(SIGTERM);
    REQUIRE(lab.says("agent", "offline"));
    Logs offline(url, {"alpha", "bytes"});
    CHECK(offline.end() == 0);
    CHECK(has(offline.err(), "alpha is offline: of its output there is what the broker keeps, the newest"));
    CHECK(offline.out().ends_with("end"));
}

TEST_CASE("sutctl logs: an agent that gives no answer, a question that may not be asked") {
    Lab lab(AGENT_ENTRY, shell_rules("echo only line; exec sleep 1000"));
    REQUIRE(lab.says("output", "only line"));
    lab.agent->signal(SIGSTOP);
    Logs hung(lab.broker.url(), {"alpha"});
    CHECK(hung.end() == 0);
    lab.agent->signal(SIGCONT);
    CHECK(hung.out() == "only line\n");
    CHECK(has(hung.err(), "the agent gave no answer in 5 s"));
}

TEST_CASE("sutctl logs: of a user that only reads, what the broker keeps") {
    const test::TempFolder folder;
    REQUIRE(sys::write_file_atomic(folder.path() + "/acl", "user operator\ntopic read #\ntopic read $SYS/#\nuser alpha\ntopic readwrite #\n", 0644, sys::Durability::fast));
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    test::PrivateBroker broker("acl_file " + folder.path() + "/acl\n");
    test::PrivateAgent agent(AGENT_ENTRY, broker.url(), shell_rules("echo only line; exec sleep 1000"));
    REQUIRE(eventually([&] { return has(agent.out(), "only line"); }));
    std::string said;
    CAPTURE(said);
    CHECK(eventually([&] {
        Logs reader(broker.url(), {"alpha"});
        const int code = reader.end();
        said = reader.err() + reader.out();
        return code == 0 && reader.out() == "only line\n" && has(reader.err(), "what the broker keeps");
    }, 60s));
}

TEST_CASE("sutctl logs -f: without a gap or a repeat, in a flood, over a lost broker and a held-up reader") {
    const test::TempFolder folder;
    auto rules = shell_rules("seq -f 'a line of the log, number %.0f' 1 5000; while [ ! -e " + folder.path() +
                             "/go ]; do sleep 0.02; done; for i in 1 2 3 4 5 6; do seq -f 'a line of the log, number %.0f' $((i*5000+1)) $((i*5000+5000)); sleep 0.4; done; exec sleep 1000");
    rules.log = {200'000, 50};
    Lab lab(AGENT_ENTRY, rules);
    REQUIRE(lab.says("output", "number 5000"));
    Logs whole(lab.broker.url(), {"-f", "alpha"}), last(lab.broker.url(), {"-f", "--tail", "10", "alpha"});
    std::ofstream(folder.path() + "/go") << "go";
    SUBCASE("nothing happens") {}
    SUBCASE("the broker goes away and comes back") {
        REQUIRE(eventually([&] { return has(whole.out(), "number 10001\n"); }));
        lab.broker.stop();
        lab.broker.start();
        REQUIRE(eventually([&] { return has(whole.out(), "number 20001\n"); }));
        lab.broker.lose();
        lab.broker.start();
    }
    const bool came = eventually([&] { return has(whole.out(), "number 35000\n"); }, 60s);
    INFO(whole.err());
    CHECK(came);
    CHECK(eventually([&] { return has(last.out(), "number 35000\n"); }, 60s));
    CHECK(whole.end(SIGINT) == 130);
    CHECK(last.end(SIGINT) == 130);
    CHECK((whole.out() == numbers(1, 35'000)));
    CHECK(numbers(1, 35'000).ends_with(last.out()));
    CHECK(last.out().size() > numbers(5001, 35'000).size() / 2);
    CHECK_FALSE(has(whole.err(), "did not come"));
}

TEST_CASE("sutctl logs -f: of a job that waits, and then to its end; of an agent that starts anew") {
    Lab lab(AGENT_ENTRY);
    const auto url = lab.broker.url();
    lab.submit(R"j({"id":"first","command":"echo up; sleep 1000"})j");
    REQUIRE(lab.says("output", "up"));
    lab.submit(R"j({"id":"second","command":"seq 1 1000; printf done"})j");
    REQUIRE(lab.says("job/second", "QUEUED"));
    Logs follows(url, {"-f", "alpha", "second"});
    eventually([&] { return false; }, 500ms);  // it listens by then, or reads the file later: either has to do
    lab.publish("alpha/cmd/cancel", "first");
    CHECK(follows.end() == 0);
    CHECK(follows.err().empty());
    CHECK(follows.out().starts_with("1\n2\n"));
    CHECK(follows.out().ends_with("\n1000\ndone"));

    Logs all(url, {"-f", "alpha"});
    lab.restart_agent(SIGKILL);
    CHECK(has(lab.run("third", R"j({"id":"third","command":"echo of the new life"})j"), "SUCCEEDED"));
    CHECK(eventually([&] { return has(all.out(), "of the new life\n"); }));
}
