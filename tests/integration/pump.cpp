// The pump on real pipes: when its owner hears of output.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <filesystem>

#include "private_broker.hpp"
#include "pump.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using test::eventually;

namespace {

struct Child {
    Child() : wake(*sys::Wake::open()), nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC)), pump(*Pump::open(wake, nowhere.get(), folder.path() + "/secrets")) {
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

/// As the engine unpacks a delivery: the folder, the names' links, the link to the newest, which is away for a moment.
void deliver(const std::string& folder, int generation, const std::string& value) {
    const auto fresh = folder + "/.g" + std::to_string(generation);
    std::filesystem::create_directories(fresh);
    REQUIRE(sys::write_file_atomic(fresh + "/TOKEN", value, 0600, sys::Durability::fast));
    for (const auto& [target, name] : {std::pair<std::string, std::string>{".current/TOKEN", "TOKEN"}, {".g" + std::to_string(generation), ".current"}}) {
        std::filesystem::remove(folder + "/" + name);
        std::filesystem::create_symlink(target, folder + "/" + name);
    }
}

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

TEST_CASE("pump: a secret that is exchanged is masked in the first line that has it, and so is the one before") {
    Child child;
    const auto secrets = child.folder.path() + "/secrets";
    const auto value = [](int generation) { return "value-" + std::to_string(generation) + "-end"; };
    std::string all;
    for (int i = 1; i <= 500; ++i) {
        deliver(secrets, i, value(i));
        const auto line = "now " + value(i) + " before " + value(i - 1) + "\n";
        REQUIRE(::write(child.end.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
        all += i == 1 ? "now *** before value-0-end\n" : "now *** before ***\n";
        REQUIRE(eventually([&] { return child.log->end() >= all.size(); }));
    }
    CHECK(child.log->read(0, all.size()).bytes == all);
}

TEST_CASE("pump: a value that a program still has is masked after deliveries that change nothing, too") {
    Child child;
    const auto secrets = child.folder.path() + "/secrets";
    const auto print = [&](const std::string& text) {
        const auto from = child.log->end();
        REQUIRE(::write(child.end.get(), (text + "\n").data(), text.size() + 1) == static_cast<ssize_t>(text.size() + 1));
        std::string got;
        REQUIRE(eventually([&] { return (got = child.log->read(from, 100).bytes).ends_with("\n"); }));
        return got;
    };
    deliver(secrets, 1, "the first");
    CHECK(print("the first") == "***\n");
    for (int i = 2; i < 6; ++i) {
        deliver(secrets, i, "the second");
        CHECK(print("the second") == "***\n");
    }
    CHECK(print("the first") == "***\n");
}

TEST_CASE("pump: a secret that cannot be read is read again until it can") {
    Child child;
    const auto secrets = child.folder.path() + "/secrets";
    deliver(secrets, 1, "other");
    std::filesystem::create_directories(secrets + "/.g2");
    std::filesystem::create_symlink("TOKEN", secrets + "/.g2/TOKEN");  // to itself: an error, for root as well
    std::filesystem::remove(secrets + "/.current");
    std::filesystem::create_symlink(".g2", secrets + "/.current");
    REQUIRE(::write(child.end.get(), "a\n", 2) == 2);
    REQUIRE(eventually([&] { return child.log->end() == 2; }));
    REQUIRE(sys::write_file_atomic(secrets + "/.g2/TOKEN", "unread", 0600, sys::Durability::fast));
    REQUIRE(::write(child.end.get(), "unread\n", 7) == 7);
    REQUIRE(eventually([&] { return child.log->end() > 2 && child.log->read(2, 100).bytes.ends_with("\n"); }));
    CHECK(child.log->read(2, 100).bytes == "***\n");
}
