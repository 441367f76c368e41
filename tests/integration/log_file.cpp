// The agent's log on disk: rotation, and what a broken or full disk does to it.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <random>
#include <thread>

#include "log_file.hpp"
#include "output_feed.hpp"
#include "private_broker.hpp"
#include "small_disk.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;
using test::eventually;

namespace {

constexpr std::size_t k_limit = 256 * 1024 * 1024;

std::string content(const std::string& path) { return sys::read_file(path, k_limit).value_or(""); }

/// All files of a log, oldest first.
std::vector<std::string> files(const std::string& path, unsigned keep) {
    std::vector<std::string> out;
    for (unsigned n = keep; n > 0; --n)
        if (const auto rotated = path + "." + std::to_string(n); std::filesystem::exists(rotated)) out.push_back(content(rotated));
    out.push_back(content(path));
    return out;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const auto& part : parts) out += part;
    return out;
}

/// All that can be read, in pieces of an odd size. @return the bytes, and how many between them are gone
std::pair<std::string, std::uint64_t> read_all(const LogFile& log, std::uint64_t from = 0) {
    std::string bytes;
    std::uint64_t gone = 0;
    for (auto at = from; at < log.end();) {
        const auto piece = log.read(at, 777);
        gone += piece.offset - at;
        at = piece.offset + piece.bytes.size();
        bytes += piece.bytes;
        if (piece.bytes.empty() && at < log.end()) return {"stuck", 0};
    }
    return {bytes, gone};
}

std::string some_lines(std::size_t bytes, unsigned seed) {
    std::mt19937 random(seed);
    std::string out;
    for (int n = 0; out.size() < bytes; ++n) out += std::to_string(n) + std::string(random() % 200, 'x') + "\n";
    return out;
}

void append_in_chunks(LogFile& log, std::string_view text, unsigned seed) {
    std::mt19937 random(seed);
    while (!text.empty()) {
        const auto part = text.substr(0, 1 + random() % 3000);
        CHECK(log.append(part));
        text.remove_prefix(part.size());
    }
}

}  // namespace

TEST_CASE("log file: rotation loses no byte and splits no line, and all of it can be read by offset") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/agent.log";
    const auto text = some_lines(200'000, 1);
    {
        const auto log = *LogFile::open(path, 5000, 100);
        append_in_chunks(*log, text, 2);
        const auto all = files(path, 100);
        CHECK(all.size() > 40);
        CHECK(joined(all) == text);
        for (const auto& file : all) {
            CHECK(file.size() <= 5000 + 210);  // the line at hand is ended
            CHECK(file.ends_with('\n'));
        }
        CHECK(read_all(*log) == std::pair{text, std::uint64_t{0}});
    }
    const auto again = *LogFile::open(path, 5000, 100);  // the next life goes on behind it
    CHECK(again->begin() == 0);
    CHECK(again->end() == text.size());
    append_in_chunks(*again, text, 3);
    const auto kept = joined(files(path, 100));
    CHECK((text + text).ends_with(kept));
    CHECK(read_all(*again) == std::pair{kept, 2 * text.size() - kept.size()});
}

TEST_CASE("log file: a number of files is kept, also when it is changed, and what is gone is known") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/agent.log";
    const auto text = some_lines(60'000, 4);
    const auto log = *LogFile::open(path, 5000, 5);
    append_in_chunks(*log, text, 5);
    const auto kept = joined(files(path, 9));
    CHECK(files(path, 9).size() == 6);
    CHECK(text.ends_with(kept));
    CHECK(read_all(*log) == std::pair{kept, text.size() - kept.size()});
    CHECK(log->begin() == text.size() - kept.size());
    log->set_limits(20'000, 2);
    append_in_chunks(*log, text, 6);
    CHECK(files(path, 9).size() == 3);
    CHECK(files(path, 9)[1].size() > 15'000);
    CHECK((text + text).ends_with(joined(files(path, 9))));
}

TEST_CASE("log file: a rotation that was cut off, or fails for a while, costs no file") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/agent.log";
    const auto put = [](const std::string& name, const std::string& text) {
        CHECK(sys::write_file_atomic(name, text, 0644, sys::Durability::fast));
    };
    SUBCASE("cut off between two renames") {
        put(path + ".3", "oldest\n");
        put(path + ".1", "newer\n");  // .2 was just made of .1, and then came the end
        put(path, "newest\n");
        put(path + ".new", "");
        const auto log = *LogFile::open(path, 10, 3);
        CHECK(read_all(*log).first == "oldest\nnewer\nnewest\n");
        CHECK(log->append("and on\n"));
        CHECK(files(path, 3) == std::vector<std::string>{"oldest\n", "newer\n", "newest\n", "and on\n"});
    }
    SUBCASE("something is in the way") {
        const auto log = *LogFile::open(path, 10, 3);
        REQUIRE(::mkdir((path + ".new").c_str(), 0700) == 0);
        CHECK(log->append("one line\n"));
        for (int i = 0; i < 5; ++i) {
            const auto failed = log->append("one line\n");  // the line is written, though the file gets too long
            REQUIRE_FALSE(failed);
            CHECK(failed.error().message.find("cannot rotate the log " + path) != std::string::npos);
        }
        CHECK(content(path).size() == 54);
        REQUIRE(::rmdir((path + ".new").c_str()) == 0);
        CHECK(eventually([&] { return log->settle().has_value(); }));
        CHECK(log->append("one line\n"));
        CHECK(files(path, 3).size() == 2);
        CHECK(read_all(*log).first.size() == 63);
    }
}

TEST_CASE("log file: somebody truncates, removes or replaces it: readers get what is there, and no wrong byte") {
    const test::TempFolder folder;
    const auto path = folder.path() + "/agent.log";
    const auto log = *LogFile::open(path, 1'000'000, 3);
    CHECK(log->append("before\n"));
    SUBCASE("truncated in place") {
        REQUIRE(::truncate(path.c_str(), 0) == 0);
        CHECK(log->append("after\n"));
        CHECK(log->append("more\n"));
        const auto piece = log->read(7, 100);
        CHECK(piece.bytes == "after\nmore\n");
        CHECK(piece.offset == 7);
        CHECK(log->read(0, 100).offset == 7);  // and not the new bytes under the old offset
        CHECK(content(path) == "after\nmore\n");
    }
    SUBCASE("removed") {
        REQUIRE(::unlink(path.c_str()) == 0);
        CHECK(log->append("after\n"));
        CHECK(read_all(*log).first == "before\nafter\n");
    }
    SUBCASE("a link or a pipe in its place is not opened") {
        REQUIRE(::symlink("/etc/passwd", (folder.path() + "/link").c_str()) == 0);
        REQUIRE(::mkfifo((folder.path() + "/pipe").c_str(), 0600) == 0);
        CHECK_FALSE(LogFile::open(folder.path() + "/link", 0, 0));
        CHECK_FALSE(LogFile::open(folder.path() + "/pipe", 0, 0));
    }
}

TEST_CASE("log file: on a full disk the newest output waits in memory, and the file is whole again afterwards") {
    const test::TempFolder folder;
    const test::SmallDisk disk(folder.path(), 1024 * 1024);
    const auto path = folder.path() + "/agent.log";
    const auto log = *LogFile::open(path, 10'000'000, 3);
    const auto text = some_lines(300'000, 7);
    CHECK(log->append("first\n"));
    disk.fill(8192);
    for (std::size_t at = 0; at < text.size(); at += 1000) {
        const auto written = log->append(std::string_view(text).substr(at, 1000));
        if (at > 20'000) REQUIRE_FALSE(written);
        if (!written) REQUIRE(written.error().message.find("no room for logs") != std::string::npos);
        if (!written) REQUIRE(written.error().message.ends_with(path + ": No space left on device"));
    }
    CHECK(content(path).size() < 20'000);
    CHECK(read_all(*log) == std::pair{"first\n" + text, std::uint64_t{0}});
    CHECK_FALSE(log->settle());
    disk.make_room();
    CHECK(eventually([&] { return log->settle().has_value(); }));
    CHECK(content(path) == "first\n" + text);
    CHECK(log->append("last\n"));
    CHECK(content(path) == "first\n" + text + "last\n");
    CHECK(read_all(*log) == std::pair{"first\n" + text + "last\n", std::uint64_t{0}});
    CHECK(log->lost() == 0);
}

TEST_CASE("log file: what memory cannot hold either is counted and marked, between lines") {
    const test::TempFolder folder;
    const test::SmallDisk disk(folder.path(), 4 * 1024 * 1024);
    const auto path = folder.path() + "/agent.log";
    const auto log = *LogFile::open(path, 1'000'000, 5);
    CHECK(log->append("first\npart"));
    disk.fill();
    const auto text = "ial\n" + some_lines(3'000'000, 8);
    for (std::size_t at = 0; at < text.size(); at += 5000) static_cast<void>(log->append(std::string_view(text).substr(at, 5000)));
    CHECK(log->lost() > 1'500'000);
    CHECK(text.size() - log->lost() <= k_memory_window + 4096);
    const auto [readable, gone] = read_all(*log, 10);
    CHECK(gone >= log->lost());
    CHECK(readable.size() + gone == text.size());
    CHECK(text.ends_with(readable.substr(readable.size() - 500'000)));
    disk.make_room();
    CHECK(eventually([&] { return log->settle().has_value(); }));
    CHECK(log->append("last\n"));
    const auto all = joined(files(path, 5));
    const auto mark = "\n[sutfleet: " + std::to_string(log->lost()) + " bytes are missing here: No space left on device]\n";
    const auto at = all.find(mark);
    REQUIRE(at != std::string::npos);
    const auto before = all.substr(0, at), after = all.substr(at + mark.size());
    CHECK(("first\npart" + text).starts_with(before));
    CHECK((text + "last\n").ends_with(after));
    CHECK(before.size() + log->lost() + after.size() == 10 + text.size() + 5);
    const auto later = read_all(*log);
    CHECK(later.second == log->lost());
    CHECK(later.first == before + after);  // the mark is no output
}

TEST_CASE("log file: a tired operator removes log files to make room: it is given back") {
    const test::TempFolder folder;
    const test::SmallDisk disk(folder.path(), 1024 * 1024);
    const auto path = folder.path() + "/agent.log";
    const auto log = *LogFile::open(path, 300'000, 9);
    const auto text = some_lines(1'500'000, 9);
    for (std::size_t at = 0; at < text.size(); at += 5000) static_cast<void>(log->append(std::string_view(text).substr(at, 5000)));
    CHECK_FALSE(log->settle());
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) std::filesystem::remove(entry.path());
    CHECK(eventually([&] { return log->settle().has_value(); }));
    CHECK(text.ends_with(joined(files(path, 9))));
    CHECK(joined(files(path, 9)).size() > 300'000);
}

TEST_CASE("feed: what is gone while the broker is away is counted once, however often the connection is lost") {
    const test::TempFolder folder;
    const auto log = *LogFile::open(folder.path() + "/agent.log", 1000, 2);
    OutputFeed feed(log);
    SteadyTime now{1h};
    std::uint64_t id = 0;
    std::vector<OutputBatch> sent;
    const auto publish = [&](const OutputBatch& batch) -> Result<std::uint64_t> {
        sent.push_back(batch);
        return ++id;
    };
    CHECK(log->append("first\n"));
    feed.run(now, true, publish);
    feed.acknowledged(id);
    append_in_chunks(*log, some_lines(20'000, 10), 11);
    const auto gone = log->begin() - 6;
    REQUIRE(gone > 10'000);
    for (int i = 0; i < 3; ++i) {
        sent.clear();
        feed.run(now, true, publish);
        REQUIRE_FALSE(sent.empty());
        CHECK(sent.back().dropped == gone);
        CHECK(sent.front().offset == log->begin());
        feed.rewind();
    }
    CHECK(feed.dropped() == 0);
    feed.run(now, true, publish);
    feed.acknowledged(id);
    CHECK(feed.dropped() == gone);
    CHECK(feed.idle());
}

TEST_CASE("feed: in a flood one acknowledgement in four is told, and covers those before it; the last one always is") {
    const test::TempFolder folder;
    const auto log = *LogFile::open(folder.path() + "/agent.log", 0, 1);
    OutputFeed feed(log);
    std::deque<std::pair<std::uint64_t, bool>> sent;  // id, quiet
    std::uint64_t id = 0, bytes = 0;
    const auto publish = [&](const OutputBatch& batch) -> Result<std::uint64_t> {
        sent.emplace_back(++id, batch.quiet);
        CHECK(batch.offset == bytes);
        bytes += batch.bytes;
        return batch.quiet ? 0 : id;
    };
    const auto text = some_lines(3'000'000, 12);
    REQUIRE(text.size() > 20 * k_flood_batch);
    REQUIRE(log->append(text));
    const SteadyTime now{1h};
    feed.run(now, false, publish);
    CHECK(sent.size() == k_batches_in_flight);
    std::size_t told = 0;
    while (!sent.empty()) {
        const auto [acknowledged, quiet] = sent.front();
        sent.pop_front();
        if (quiet) continue;
        ++told;
        feed.acknowledged(acknowledged);
        feed.run(now, false, publish);
        CHECK(sent.size() <= k_batches_in_flight);
    }
    CHECK(bytes == text.size());
    CHECK(feed.idle());
    CHECK(told <= id / k_told_together + 1);
}
