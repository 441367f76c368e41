// Images of contexts: what goes to the engine, and an engine that hangs, refuses and cuts off while it makes one.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "docker/docker_engine.hpp"
#include "images/archive_source.hpp"
#include "images/folder_tar.hpp"
#include "images/image_supply.hpp"
#include "private_supervisor.hpp"
#include "sutctl_run.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;
using Fault = test::FakeEngine::Fault;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

bool runs(const std::string& command) { return std::system(command.c_str()) == 0; }

/// All of it, in odd pieces, so that a border lies everywhere.
Result<std::string> whole(FolderTar& tar) {
    std::string out;
    std::array<char, 777> part{};
    for (;;) {
        const auto got = tar.read(part.data(), part.size());
        if (!got) return fail(got.error());
        if (*got == 0) return out;
        out.append(part.data(), *got);
    }
}

std::string sha256(std::string_view text) {
    Sha256 sum;
    sum.add(text.data(), text.size());
    return sum.hex();
}

const auto k_on = [] { return true; };

struct Lab : test::PrivateSupervisor {
    Lab() : PrivateSupervisor(SUPERVISOR) {
        for (int i = 0; i < 5; ++i) write_conf("plain" + std::to_string(i), "health: {max_age: 1d}\n");
        for (int i = 0; i < 5; ++i) write_conf("built" + std::to_string(i), "context: rpi\nhealth: {max_age: 1d}\n");
        write(contexts() + "/rpi.yaml", "image: lab/rpi:1\nbuild: true\n");
        write(contexts() + "/rpi/Dockerfile", "FROM scratch\n");
        engine.lose_image("lab/rpi:1");
    }
    bool all_run(std::size_t count) {
        return eventually([&] { return engine.running() == count; }, 60s);
    }
};

}  // namespace

TEST_CASE("a folder as an archive: tar takes out what was in it") {
    const test::TempFolder folder;
    const fs::path top = folder.path(), in = top / "in" / "ctx";
    const std::string deep(120, 'd'), far(200, 't');
    write(in / "Dockerfile", "FROM scratch\n");
    write(in / "empty", "");
    write(in / "block", std::string(512, 'b'));
    write(in / "large", std::string(300'000, 'l'));
    write(in / deep / (std::string(150, 'f') + ".txt"), "deep\n");
    fs::create_directories(in / "empty-folder");
    fs::create_symlink("../../etc/passwd", in / "link");
    fs::create_symlink(far, in / "far");
    fs::permissions(in / "Dockerfile", fs::perms(0751));
    auto tar = FolderTar::open((top / "in").string(), "ctx", "Dockerfile", {});
    REQUIRE(tar);
    const auto text = whole(*tar);
    REQUIRE(text);
    CHECK(text->size() % 512 == 0);
    write(top / "out.tar", *text);
    fs::create_directories(top / "out");
    REQUIRE(runs("tar -C " + (top / "out").string() + " -xpf " + (top / "out.tar").string()));
    CHECK(runs("diff -r --no-dereference " + in.string() + " " + (top / "out").string()));
    CHECK(runs("test \"$(stat -c %a " + (top / "out/Dockerfile").string() + ")\" = 751"));
}

TEST_CASE("a folder as an archive: what its .dockerignore says is not read, but for the Dockerfile") {
    const test::TempFolder folder;
    const fs::path top = folder.path();
    for (const auto* file : {"ctx/docker/File", "ctx/docker/other", "ctx/kept", "ctx/a.log", "ctx/deep/b.log", "ctx/.git/HEAD", "ctx/big/x", "ctx/big/needed"})
        write(top / file, file);
    write(top / "ctx/.dockerignore", "# of the lab\n**/*.log\n.git\nbig\n!big/needed\n/docker/\n");
    for (int i = 0; i < 5000; ++i) write(top / "ctx" / (std::to_string(i) + ".log"), "");
    REQUIRE(::mkfifo((top / "ctx/.git/pipe").c_str(), 0600) == 0);
    auto tar = FolderTar::open(top.string(), "ctx", "docker/File", {});
    REQUIRE(tar);
    const auto text = whole(*tar);
    REQUIRE(text);
    write(top / "out.tar", *text);
    REQUIRE(runs("tar -tf " + (top / "out.tar").string() + " | grep -v /$ | sort > " + (top / "list").string()));
    CHECK(sys::read_file((top / "list").string(), 1000).value_or("") == ".dockerignore\nbig/needed\ndocker/File\nkept\n");
    write(top / "ctx/.dockerignore", std::string(70'000, '#'));
    CHECK(has(FolderTar::open(top.string(), "ctx", "Dockerfile", {}).error().message, ".dockerignore is larger than 64 KiB"));
}

TEST_CASE("a folder as an archive: what is too much, no folder, or no file is refused by name") {
    const test::TempFolder folder;
    const fs::path top = folder.path();
    write(top / "a/file", std::string(3000, 'x'));
    write(top / "a/other", "y");
    fs::create_directory_symlink(top / "a", top / "link");
    const auto error = [&](const std::string& name, FolderTar::Limits limits) {
        auto tar = FolderTar::open(top.string(), name, "Dockerfile", limits);
        if (!tar) return tar.error().message;
        const auto text = whole(*tar);
        return text ? std::string() : text.error().message;
    };
    CHECK(error("a", {}).empty());
    CHECK(has(error("a", {2000, 100}), "is larger than"));
    CHECK(has(error("a", {1 << 20, 1}), "more than 1 files"));
    CHECK(has(error("link", {}), "is a link"));
    CHECK(has(error("nosuch", {}), "is not there"));
    CHECK(has(error("../x", {}), "without '..'"));
    CHECK(has(error("a/file", {}), "expected a folder"));
    REQUIRE(::mkfifo((top / "a/pipe").c_str(), 0600) == 0);
    CHECK(has(error("a", {}), "a/pipe is neither a file, a folder nor a link"));
}

TEST_CASE("an archive goes out only as its sum says, and only from its folder") {
    const test::TempFolder folder;
    const fs::path top = folder.path();
    const std::string text(2'500'000, 'z');
    write(top / "images/sub/a.tar", text);
    write(top / "secret", "s");
    fs::create_symlink(top / "secret", top / "images/link");
    fs::create_directory_symlink(top, top / "images/up");
    const auto open = [&](const std::string& file, const std::string& sum) { return ArchiveSource::open((top / "images").string(), file, sum, 1 << 30, k_on); };
    const auto error = [&](const std::string& file, const std::string& sum) {
        const auto archive = open(file, sum);
        return archive ? std::string() : archive.error().message;
    };
    CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(has(error("sub/a.tar", sha256("abc")), "has the sha256 " + sha256(text) + ": expected " + sha256("abc") + "; it is not loaded"));
    CHECK(has(error("link", sha256("s")), "'link' is a link"));
    CHECK(has(error("up/secret", sha256("s")), "'up' is a link"));
    CHECK(has(error("../secret", sha256("s")), "without '..'"));
    CHECK(has(error((top / "secret").string(), sha256("s")), "without '..'"));
    CHECK(has(error("sub", sha256("s")), "is no file"));
    CHECK(open("nosuch", sha256("s")).error().kind == ErrorKind::not_found);
    CHECK(has(ArchiveSource::open((top / "images").string(), "sub/a.tar", sha256(text), 1000, k_on).error().message, "is larger than"));
    const auto send = [&](ArchiveSource& archive) -> Result<std::size_t> {
        std::vector<char> part(65536);
        std::size_t total = 0;
        for (;;) {
            const auto got = archive.read(part.data(), part.size());
            if (!got || *got == 0) return got ? Result<std::size_t>(total) : got;
            total += *got;
        }
    };
    auto fine = open("sub/a.tar", sha256(text));
    REQUIRE(fine);
    CHECK(send(*fine) == text.size());
    auto exchanged = open("sub/a.tar", sha256(text));
    REQUIRE(exchanged);
    std::fstream(top / "images/sub/a.tar", std::ios::in | std::ios::out).seekp(1'000'000).put('!');
    const auto sent = send(*exchanged);
    REQUIRE_FALSE(sent);
    CHECK(has(sent.error().message, "it is not loaded"));
}

TEST_CASE("a load or build that takes longer than its limit is ended, and says so") {
    const test::TempFolder folder;
    test::FakeEngine engine("lab");
    engine.lose_image("lab/rpi:1");
    engine.fail_images(Fault::hangs);
    const auto docker = docker::open_docker(engine.host());
    const auto wake = sys::Wake::open();
    REQUIRE(docker);
    REQUIRE(wake);
    write(folder.path() + "/rpi/Dockerfile", "FROM scratch\n");
    write(folder.path() + "/images/a.tar", "abc");
    ImageSupply supply(folder.path(), **docker, *wake, {1s, 1s, 1s, 1 << 20, 1 << 20});
    const auto end_of = [&](const std::string& name, const ImageContext& context) {
        supply.make({name, context});
        std::string said;
        CHECK(eventually([&] {
            for (const auto& news : supply.take())
                if (news.end && news.context == name) said = *news.end ? "made" : news.end->error().message;
            return !said.empty();
        }));
        return said;
    };
    CHECK(end_of("rpi", {"", "lab/rpi:1", std::nullopt, ImageBuild{}, false}) == "building lab/rpi:1: it took longer than 1 s");
    CHECK(end_of("arc", {"", "lab/rpi:1", ImageArchive{"a.tar", sha256("abc")}, std::nullopt, false}) ==
          "loading contexts/images/a.tar: it took longer than 1 s");
    engine.fail_images(Fault::none);
    CHECK(end_of("rpi", {"", "lab/rpi:1", std::nullopt, ImageBuild{}, false}) == "made");
    CHECK(end_of("rpi", {"", "lab/rpi:1", std::nullopt, ImageBuild{}, false}) == "made");
    CHECK(engine.asked("build") == 1);  // the second time it was there
    engine.lose_image("lab/rpi:1");
    write(folder.path() + "/rpi/big", std::string(2 << 20, 'x'));
    CHECK(has(end_of("rpi", {"", "lab/rpi:1", std::nullopt, ImageBuild{}, false}), "/rpi is larger than 1 MiB"));
}

TEST_CASE("supervisor: a build that hangs delays no other SUT, is one for all that wait, and a stop ends it") {
    Lab lab;
    lab.engine.fail_images(Fault::hangs);
    lab.start();
    CHECK(lab.all_run(5));
    CHECK(eventually([&] { return lab.engine.hanging() == 1; }));
    CHECK(eventually([&] { return lab.engine.asked("failed") == 1; }));  // the one that hangs
    lab.write_conf("plain5", "health: {max_age: 1d}\n");
    CHECK(lab.all_run(6));
    CHECK(has(lab.log(), "context=rpi building image lab/rpi:1"));
    CHECK(eventually([&] { return has(test::sutctl(lab.broker.url(), "ps").out, "building image lab/rpi:1 for "); }));
    CHECK(has(test::sutctl(lab.broker.url(), "plan").out, "hold built4: building image lab/rpi:1 for "));
    lab.signal(SIGTERM);
    CHECK(eventually([&] { return !lab.runs(); }, 15s));
}

TEST_CASE("supervisor: a build that nobody waits for any more is ended, and one whose recipe changes is begun anew") {
    Lab lab;
    lab.engine.fail_images(Fault::hangs);
    lab.start();
    REQUIRE(eventually([&] { return lab.engine.asked("failed") == 1; }));
    write(lab.contexts() + "/rpi/Dockerfile", "FROM scratch\nLABEL a=b\n");
    REQUIRE(eventually([&] { return lab.engine.asked("failed") == 2; }));
    CHECK(has(lab.log(), "context=rpi build ended: it was changed, and is begun anew"));
    for (int i = 0; i < 5; ++i) lab.remove_conf("built" + std::to_string(i));
    lab.write_conf("built0", "image: lab/plain:1\nhealth: {max_age: 1d}\n");
    CHECK(lab.all_run(6));
    CHECK(eventually([&] { return has(lab.log(), "context=rpi build ended: nobody waits for it any more"); }));
    CHECK_FALSE(has(lab.log(), "rpi build failed"));
    CHECK(lab.engine.asked("failed") == 2);
}

TEST_CASE("supervisor: a purge takes container and volumes, is tried again while the engine refuses, and the agent comes back") {
    Lab lab;
    lab.start();
    REQUIRE(lab.all_run(10));
    const auto made = lab.engine.asked("create", "plain1");
    lab.engine.fail("plain1", Fault::refused);
    CHECK(has(test::sutctl(lab.broker.url(), "reset plain1 --purge").out, "expected --yes"));
    CHECK(eventually([&] { return has(test::sutctl(lab.broker.url(), "reset plain1 --purge --yes").out, "purging plain1"); }));  // once it is on the bus
    // Whether a job runs is believed 20 s after the connection.
    CHECK(eventually([&] { return has(lab.log(), "sut=plain1 purge failed: "); }, 60s));
    CHECK(lab.engine.runs("plain1"));
    lab.engine.fail("plain1", Fault::none);
    CHECK(eventually([&] { return lab.engine.asked("create", "plain1") == made + 1; }, 60s));
    CHECK(lab.all_run(10));
    CHECK(lab.engine.asked("remove", "plain1") == 1);
    CHECK(test::sutctl(lab.broker.url(), "restart plain2 --purge").exit == 2);
    CHECK(has(test::sutctl(lab.broker.url(), "restart nosuch --now").out, "no container of nosuch"));
}

TEST_CASE("supervisor: a build that is refused or cut off is tried again once its context changes, and then all have it") {
    for (const auto fault : {Fault::refused, Fault::cut_off}) {
        Lab lab;
        lab.engine.fail_images(fault);
        lab.start();
        CHECK(lab.all_run(5));
        CHECK(eventually([&] { return has(lab.log(), "context=rpi build failed: building lab/rpi:1: "); }));
        lab.engine.fail_images(Fault::none);
        write(lab.contexts() + "/rpi/Dockerfile", "FROM scratch\nLABEL a=b\n");
        CHECK(lab.all_run(10));
        CHECK(lab.engine.asked("build") == 1);
    }
}

TEST_CASE("supervisor: a context that is wrong or missing leaves agents as they are, and its repair is acted on") {
    Lab lab;
    lab.start();
    REQUIRE(lab.all_run(10));
    write(lab.contexts() + "/rpi.yaml", "imag: lab/rpi:2\n");
    lab.write_conf("other", "context: nosuch\nhealth: {max_age: 1d}\n");
    CHECK(eventually([&] { return has(lab.log(), "context 'rpi': contexts/rpi.yaml:1:1: "); }));
    CHECK(lab.engine.running() == 10);
    const auto created = lab.engine.asked("create", "built0");
    write(lab.contexts() + "/nosuch.yaml", "image: lab/other:1\n");
    CHECK(lab.all_run(11));
    CHECK(lab.engine.asked("create", "built0") == created);
    write(lab.contexts() + "/rpi.yaml", "image: lab/rpi:2\n");
    CHECK(eventually([&] { return lab.engine.asked("create", "built0") > created; }));
    CHECK(lab.all_run(11));
}
