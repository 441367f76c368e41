// sutctl validate on contexts: each thing that would not work is told by its place, and nothing is read out of their folder.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "private_broker.hpp"
#include "sutctl_run.hpp"

using namespace sutfleet;
using test::has;
namespace fs = std::filesystem;

namespace {

void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

}  // namespace

TEST_CASE("sutctl validate: contexts beside the confs, and what they name") {
    const test::TempFolder folder;
    const fs::path top = folder.path(), contexts = top / "contexts";
    const std::string sum(64, 'a');
    const auto validate = [&] { return test::run({SUTCTL, "validate", (top / "sut").string()}); };
    write(top / "sut/alpha.conf", "context: good\n");
    write(contexts / "good.yaml", "image: lab/a:1\nbuild: {dockerfile: docker/File}\narchive: {file: a.tar, sha256: " + sum + "}\n");
    write(contexts / "good/docker/File", "FROM scratch\n");
    write(contexts / "images/a.tar", "x");
    CHECK(validate().exit == 0);

    write(top / "sut/bravo.conf", "description: b\ncontext: nosuch\n");
    write(top / "sut/charlie.conf", "context: typo\n");
    write(contexts / "typo.yaml", "image: lab/a:1\nbild: true\n");
    write(contexts / "empty-folder.yaml", "image: lab/a:1\nbuild: true\n");
    write(contexts / "up.yaml", "image: lab/a:1\narchive: {file: link.tar, sha256: " + sum + "}\n");
    write(contexts / "other.yaml", "image: lab/a:1\nengine: podman\n");
    write(contexts / "Bad.yaml", "image: lab/a:1\n");
    fs::create_symlink("../../secret", contexts / "images/link.tar");
    const auto ran = validate();
    CHECK(ran.exit == 1);
    for (const auto* part : {"sut/alpha.conf: ok", "sut/bravo.conf:2:10: 'context': ", "contexts/nosuch.yaml", "sut/charlie.conf:1:10: 'context': ",
                             "contexts/typo.yaml:2:1: ", "contexts/empty-folder is not there", "'link.tar' is a link",
                             "other.yaml: warning: it is for the engine podman", "other.yaml: warning: no way to the image", "Bad.yaml: the file's name"}) {
        CAPTURE(part);
        CHECK_MESSAGE(has(ran.out, part), ran.out);
    }
    CHECK(test::run({SUTCTL, "validate", (contexts / "good.yaml").string()}).exit == 0);
    CHECK(test::run({SUTCTL, "validate", (contexts / "typo.yaml").string()}).exit == 1);
    fs::rename(contexts, top / "elsewhere");
    CHECK(test::run({SUTCTL, "validate", (top / "sut/alpha.conf").string()}, {{"SUTFLEET_SUT_DIR", (top / "sut").string()}, {"SUTFLEET_CONTEXT_DIR", (top / "elsewhere").string()}}).exit == 0);
}
