// What a job may leave in its folder to get at something else, or to hold the agent up: each is tried.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "artifacts.hpp"
#include "folder_walk.hpp"
#include "job_folders.hpp"
#include "job_place.hpp"
#include "match/globs.hpp"
#include "private_broker.hpp"
#include "sys/file.hpp"
#include "tail.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
namespace fs = std::filesystem;

namespace {

const auto k_never = [] { return false; };
const auto k_go_on = [] { return true; };

void write(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

/// A job's folder beside something that is not the job's.
struct Place {
    test::TempFolder temp;
    fs::path other = temp.path() + "/other", job = temp.path() + "/jobs/j1";
    Place() {
        fs::create_directories(other / "artifacts");
        fs::create_directories(job / "artifacts");
        write(other / "secret", "s3cret");
        write(other / "artifacts/secret", "s3cret");
    }
    [[nodiscard]] std::vector<std::string> listed() const {
        std::vector<std::string> out;
        for (const auto& one : list_artifacts(job, k_never).list) out.push_back(one.name);
        return out;
    }
};

JobRequest request() { return *decode_submit("echo hi"); }
const auto k_id = *JobId::parse("j1");

}  // namespace

TEST_CASE("artifacts: no link leads out, whatever part of the path it is") {
    Place place;
    SUBCASE("artifacts itself") {
        fs::remove(place.job / "artifacts");
        fs::create_symlink(place.other, place.job / "artifacts");
        write(place.job / "own", "x");
        collect_artifacts(place.job, {"*"});
        CHECK_FALSE(fs::exists(place.other / "own"));
        CHECK_FALSE(has_artifacts(place.job));
    }
    SUBCASE("the job's folder") {
        fs::remove_all(place.job);
        fs::create_symlink(place.other, place.job);
        CHECK_FALSE(has_artifacts(place.job));
    }
    SUBCASE("a folder in artifacts that a match is to go to") {
        fs::create_directory(place.job / "deep");
        write(place.job / "deep/y", "x");
        fs::create_symlink(place.other, place.job / "artifacts/deep");
        collect_artifacts(place.job, {"deep/*"});
        CHECK_FALSE(fs::exists(place.other / "y"));
    }
    SUBCASE("what is matched, and the folders before it") {
        fs::create_symlink(place.other / "secret", place.job / "secret");
        fs::create_symlink(place.other, place.job / "out");
        fs::create_symlink("..", place.job / "up");
        fs::create_symlink(place.other, place.job / "artifacts/out");
        ::mkfifo((place.job / "pipe").c_str(), 0600);
        collect_artifacts(place.job, {"*", "*/*", "out/secret", "up/../../other/secret", "./out/secret", "/etc/passwd"});
    }
    CHECK(place.listed().empty());
}

TEST_CASE("artifacts: patterns match as a shell's do, in the job's own files only") {
    Place place;
    for (const auto* name : {"a.xml", "b.xml", ".hidden.xml", "command", "job.json", "output.log", "c[1].txt"}) write(place.job / name, name);
    fs::create_directories(place.job / "logs/deep");
    write(place.job / "logs/1.log", "1");
    write(place.job / "logs/deep/2.log", "2");
    collect_artifacts(place.job, {"*.xml", "./logs//*.log", "c\\[1\\].txt", "*", "artifacts/*"});
    CHECK(place.listed() == std::vector<std::string>{"a.xml", "b.xml", "c[1].txt", "logs/1.log"});
    collect_artifacts(place.job, {".h*"});
    CHECK(place.listed().size() == 5);
    const auto matches = [](std::string_view pattern, std::string_view path) { return Glob(pattern).matches(path); };
    CHECK(matches("[a-c]?[!0-9]", "bxz"));
    CHECK_FALSE(matches("[a-c]?[!0-9]", "bx1"));
    CHECK(matches("[]x]", "]"));
    CHECK(matches("[a-]", "-"));
    CHECK(matches("a[", "a["));
    CHECK(matches("\\*", "*"));
    CHECK_FALSE(matches("\\*", "x"));
    CHECK(matches("a(b|c)+", "a(b|c)+"));
    CHECK_FALSE(matches("*", "a/b"));
    CHECK_FALSE(matches("[!a]", "/"));
    CHECK_FALSE(matches("", ""));
    CHECK_FALSE(matches("[.]x", ".x"));
    // Where a matcher that goes back at each star would never come to an end.
    std::string stars;
    for (int i = 0; i < 100; ++i) stars += "*a";
    CHECK_FALSE(matches(stars, std::string(250, 'a').replace(125, 1, "b") + "c"));
}

TEST_CASE("artifacts: no more is looked at than there may be, and no descriptor for each folder in a folder") {
    Place place;
    fs::path deep = place.job / "artifacts";
    for (int i = 0; i < 200; ++i) fs::create_directory(deep /= "d");
    write(deep / "at-the-end", "x");
    write(place.job / "artifacts/here", "x");
    CHECK(place.listed() == std::vector<std::string>{"here"});
    const auto top = *open_folder(place.job);
    std::size_t deepest = 0;
    CHECK_FALSE(walk_folder(top.get(), {}, [&](const WalkEntry& entry) {
        deepest = std::max(deepest, static_cast<std::size_t>(std::ranges::count(entry.path, '/')));
        return true;
    }));
    CHECK(deepest == 32);
    std::size_t seen = 0;
    CHECK_FALSE(walk_folder(top.get(), {.entries = 5}, [&](const WalkEntry&) { return ++seen > 0; }));
    CHECK(seen == 5);
}

TEST_CASE("a job's folder goes, however deep, whatever its modes, and never what its links point to") {
    Place place;
    fs::create_symlink(place.other, place.job / "link");
    // The names that it gives may be taken, and nothing else may be there to go.
    for (int i = 1; i < 50; ++i) write(place.job / (".removed-" + std::to_string(i)), "x");
    fs::create_directories(place.job / ".removed-50/x/y");
    fs::create_directories(place.job / "a/b/c/d");
    fs::create_directories(place.job / "closed/below/more");
    write(place.job / "closed/below/file", "x");
    ::chmod((place.job / "closed/below").c_str(), 0);
    ::chmod((place.job / "closed").c_str(), 0);
    // Deeper than a path can name, and than there are descriptors.
    auto at = *open_folder(place.job);
    for (int i = 0; i < 30'000; ++i) {
        REQUIRE(::mkdirat(at.get(), "d", 0500) == 0);
        at = sys::UniqueFd(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ::fchmod(at.get(), i % 2 == 0 ? 0700 : 0750);
    }
    CHECK_FALSE(remove_folder(place.job, [] { return false; }));
    const auto removed = remove_folder(place.job, k_go_on);
    if (!removed) MESSAGE(removed.error().message);
    CHECK(removed);
    CHECK_FALSE(fs::exists(place.job));
    CHECK(fs::exists(place.other / "secret"));
    CHECK(remove_folder(place.job, k_go_on));
    fs::create_symlink(place.other, place.job);
    CHECK(remove_folder(place.job, k_go_on));
    CHECK(fs::exists(place.other / "secret"));
    CHECK_FALSE(fs::exists(fs::symlink_status(place.job)));
}

TEST_CASE("a job's files are made anew where an earlier attempt has put a pipe, a link or another file's second name") {
    Place place;
    REQUIRE(prepare_job_place(place.job));
    REQUIRE(fill_job_place(place.job, k_id, request()));
    const auto text = [&](const char* name) { return sys::read_file(place.job / name, 10'000).value_or("?"); };
    REQUIRE(text("command") == "echo hi");
    const auto spoil = [&](const char* name) {
        fs::remove(place.job / name);
        SUBCASE("a pipe") { ::mkfifo((place.job / name).c_str(), 0600); }
        SUBCASE("a link") { fs::create_symlink(place.other / "secret", place.job / name); }
        SUBCASE("a second name") { fs::create_hard_link(place.other / "secret", place.job / name); }
        SUBCASE("nothing") {}
    };
    SUBCASE("job.json") { spoil("job.json"); }
    SUBCASE("testflinger.json") { spoil("testflinger.json"); }
    SUBCASE("command") { spoil("command"); }
    REQUIRE(prepare_job_place(place.job));
    REQUIRE(fill_job_place(place.job, k_id, request()));
    CHECK(text("command") == "echo hi");
    CHECK(text("job.json").find("echo hi") != std::string::npos);
    CHECK(text("testflinger.json") == text("job.json"));
    CHECK(*sys::read_file(place.other / "secret", 100) == "s3cret");
}

TEST_CASE("a job's log that a job replaced is a file again; a folder that is a link is not filled") {
    Place place;
    REQUIRE(prepare_job_place(place.job));
    fs::remove(place.job / "output.log");
    ::mkfifo((place.job / "output.log").c_str(), 0600);
    REQUIRE(prepare_job_place(place.job));
    CHECK(fs::is_regular_file(place.job / "output.log"));
    fs::remove_all(place.job);
    fs::create_symlink(place.other, place.job);
    CHECK_FALSE(fill_job_place(place.job, k_id, request()));
    REQUIRE(prepare_job_place(place.job));
    REQUIRE(fill_job_place(place.job, k_id, request()));
    CHECK_FALSE(fs::exists(place.other / "job.json"));
    CHECK(fs::is_directory(fs::symlink_status(place.job)));
}

TEST_CASE("tail: no link, pipe or folder stands for a job's log") {
    Place place;
    const auto jobs = place.job.parent_path().string();
    const auto log = place.job / "output.log";
    const auto read = [&] { return tail_of_file(jobs, k_id, {k_id, 0, 1000, false}); };
    CHECK_FALSE(read());
    fs::create_symlink(place.other / "secret", log);
    CHECK_FALSE(read());
    fs::remove(log);
    ::mkfifo(log.c_str(), 0600);
    CHECK_FALSE(read());
    fs::remove(log);
    fs::create_directory(log);
    CHECK_FALSE(read());
    fs::remove(log);
    write(log, "text");
    REQUIRE(read());
    CHECK(read()->bytes == "text");
    write(place.other / "output.log", "s3cret");
    fs::remove_all(place.job);
    fs::create_symlink(place.other, place.job);
    CHECK_FALSE(read());
}

TEST_CASE("a job's folder goes also when the first name that is given is a file's") {
    Place place;
    write(place.job / ".removed-1", "x");
    fs::create_directories(place.job / "deep/s-2");
    write(place.job / "deep/s-2/x", "x");
    CHECK(remove_folder(place.job, k_go_on));
    CHECK_FALSE(fs::exists(place.job));
}

TEST_CASE("a job's folder goes whatever names of ours its job has guessed") {
    Place place;
    for (int i = 1; i < 6; ++i) {
        write(place.job / (".removed-" + std::to_string(2 * i - 1)), "x");
        fs::create_directories(place.job / (".removed-" + std::to_string(2 * i)) / "deep/deeper");
        write(place.job / (".removed-" + std::to_string(2 * i)) / "deep/deeper/x", "x");
    }
    CHECK(remove_folder(place.job, k_go_on));
    CHECK_FALSE(fs::exists(place.job));
}
