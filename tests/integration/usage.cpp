// What an agent tells of its container's use, against files as the kernel has them.
#include "usage.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "lab.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

class Group {
  public:
    void write(const std::string& name, const std::string& text) const {
        const auto path = folder_.path() + "/" + name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        REQUIRE(sys::write_file_atomic(path, text, 0600, sys::Durability::fast));
    }
    [[nodiscard]] const std::string& path() const { return folder_.path(); }

  private:
    test::TempFolder folder_;
};

std::map<std::string, std::string> look(agent::Usage& usage, SteadyTime now) {
    const auto found = usage.look(now);
    return {found.begin(), found.end()};
}

using Numbers = std::map<std::string, std::string>;

}  // namespace

TEST_CASE("usage: control groups v2") {
    const Group group;
    group.write("cpu.stat", "usage_usec 1000000\nuser_usec 1\n");
    group.write("memory.current", "20971520\n");
    group.write("memory.stat", "anon 1\ninactive_file 5242880\nactive_file 7\n");
    agent::Usage usage(group.path());
    const auto start = sys::steady_now();
    CHECK(look(usage, start) == Numbers{{"memory", "15.0"}});
    group.write("cpu.stat", "usage_usec 3500000\nuser_usec 1\n");
    CHECK(look(usage, start + 10s) == Numbers{{"cpu", "0.250"}, {"memory", "15.0"}});
}

TEST_CASE("usage: control groups v1") {
    const Group group;
    group.write("cpuacct/cpuacct.usage", "1000000000\n");
    group.write("memory/memory.usage_in_bytes", "10485760\n");
    group.write("memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1048576\n");
    agent::Usage usage(group.path());
    const auto start = sys::steady_now();
    look(usage, start);
    group.write("cpuacct/cpuacct.usage", "21000000000\n");
    CHECK(look(usage, start + 10s) == Numbers{{"cpu", "2.000"}, {"memory", "9.0"}});
}

TEST_CASE("usage: what is not there, or is no number, is left out") {
    const Group group;
    agent::Usage usage(group.path());
    CHECK(look(usage, sys::steady_now()).empty());
    group.write("memory.current", "max\n");
    group.write("cpu.stat", "nr_periods 0\n");
    CHECK(look(usage, sys::steady_now() + 1s).empty());
}

TEST_CASE("usage: an agent has its numbers on the bus") {
    test::Lab lab(AGENT_ENTRY);
    CHECK(lab.says("metrics/queued", "0"));
}
