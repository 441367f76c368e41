// sutctl as a user runs it, against a private broker and a real agent-entry.

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "private_agent.hpp"

using namespace sutfleet;

namespace {

struct Ran {
    int exit = -1;
    std::string out;  ///< stdout and stderr
};

Ran sutctl(const std::string& url, const std::string& words) {
    const std::string line = "SUTFLEET_BROKER=" + url +
                             " SUTFLEET_USER=operator SUTFLEET_PASSWORD=x timeout 60 " SUTCTL " " +
                             words + " 2>&1";
    Ran ran;
    FILE* pipe = ::popen(line.c_str(), "r");
    REQUIRE(pipe != nullptr);
    std::array<char, 4096> part{};
    for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;)
        ran.out.append(part.data(), got);
    ran.exit = WEXITSTATUS(::pclose(pipe));
    return ran;
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
    CHECK(failed.out.find("one\n\ntwo\n") != std::string::npos);
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
