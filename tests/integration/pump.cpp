// The pump on real pipes: when its owner hears of output.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "private_broker.hpp"
#include "pump.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using test::eventually;

namespace {

struct Child {
    Child() : wake(*sys::Wake::open()), nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC)), pump(*Pump::open(wake, nowhere.get())) {
        auto source = *pump->add(log);
        end = std::move(source.second);
    }
    /// Returns when it is in the log.
    void write(std::size_t size) {
        const auto want = log->end() + size;
        REQUIRE(::write(end.get(), std::string(size, 'x').data(), size) == static_cast<ssize_t>(size));
        REQUIRE(eventually([&] { return log->end() == want; }));
    }
    [[nodiscard]] bool heard(int ms = 0) const {
        pollfd one{wake.fd(), POLLIN, 0};
        return ::poll(&one, 1, ms) == 1;
    }
    void listen(std::size_t bytes) const {
        wake.clear();
        pump->listen(bytes);
    }
    test::TempFolder folder;
    sys::Wake wake;
    sys::UniqueFd nowhere, end;
    std::shared_ptr<LogFile> log = *LogFile::open(folder.path() + "/agent.log", 0, 1);
    std::unique_ptr<Pump> pump;
};

constexpr int k_long = 20'000;

}  // namespace

TEST_CASE("pump: its owner hears of the first byte after quiet") {
    Child child;
    child.listen(1);
    child.write(1);
    CHECK(child.heard(k_long));
}

TEST_CASE("pump: an owner that lets output gather hears of it when there is as much as it wants, and of what came meanwhile") {
    Child child;
    child.listen(1000);
    for (int i = 0; i < 9; ++i) child.write(100);
    CHECK_FALSE(child.heard());
    child.write(100);
    CHECK(child.heard(k_long));
    child.listen(1000);
    child.write(100);
    CHECK_FALSE(child.heard());
    child.listen(1);
    child.write(100);
    CHECK(child.heard(k_long));
}

TEST_CASE("pump: lines that come one by one are all in the log, in order, whatever is read at once") {
    Child child;
    std::string all;
    for (int i = 0; i < 2000; ++i) {
        const auto line = std::to_string(i) + "\n";
        all += line;
        REQUIRE(::write(child.end.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
        if (i % 50 == 0) ::poll(nullptr, 0, 1);
    }
    REQUIRE(eventually([&] { return child.log->end() == all.size(); }));
    CHECK(child.log->read(0, all.size()).bytes == all);
}
