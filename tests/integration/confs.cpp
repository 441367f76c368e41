// The folder of confs, with real files.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "confs.hpp"
#include "private_broker.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Folder : test::TempFolder {
    void write(const std::string& name, std::string_view text) const { std::ofstream(fs::path(path()) / name) << text; }
};

const SutName k_alpha = *SutName::parse("alpha");
const SteadyTime k_start{1h};

}  // namespace

TEST_CASE("a conf that is still being written is read once it has settled") {
    const Folder folder;
    ConfFolder confs(folder.path());
    CHECK_FALSE(confs.scan(k_start));
    CHECK(confs.known());
    folder.write("alpha.conf", "description: on");
    CHECK(confs.scan(k_start + 1ms) == k_start + 1ms + k_settled);
    CHECK_FALSE(confs.files().contains(k_alpha));
    folder.write("alpha.conf", "description: one\n");
    CHECK(confs.scan(k_start + 15ms) == k_start + 15ms + k_settled);
    CHECK_FALSE(confs.scan(k_start + 15ms + k_settled));
    REQUIRE(confs.files().contains(k_alpha));
    CHECK(confs.files().at(k_alpha).conf->description == "one");
}

TEST_CASE("a half-written conf is an error that keeps what was right, and heals") {
    const Folder folder;
    folder.write("alpha.conf", "description: one\n");
    ConfFolder confs(folder.path());
    confs.scan(k_start);  // the first look takes what is there
    CHECK(confs.files().at(k_alpha).conf->description == "one");
    folder.write("alpha.conf", "command: [a");
    confs.scan(k_start + 1s);
    confs.scan(k_start + 2s);
    CHECK(confs.files().at(k_alpha).error.starts_with("alpha.conf:1:"));
    CHECK(confs.files().at(k_alpha).conf->description == "one");
    folder.write("alpha.conf", "command: [a]\n");
    confs.scan(k_start + 3s);
    confs.scan(k_start + 4s);
    CHECK(confs.files().at(k_alpha).error.empty());
}

TEST_CASE("companions belong to the SUT of their name and no other") {
    const Folder folder;
    for (const auto* name : {"alpha.conf", "alpha-2.conf", "alpha_snappy.yaml", "alpha.key", "alphabet.yaml", "alpha-2_x.yaml"})
        folder.write(name, name == std::string_view("alpha.key") ? "secret" : "description: x\n");
    ConfFolder confs(folder.path());
    confs.scan(k_start);
    std::string names;
    for (const auto& one : confs.files().at(k_alpha).companions) names += one.name + " ";
    CHECK(names == "alpha.conf alpha.key alpha_snappy.yaml ");
    folder.write("alpha.key", "another");
    confs.scan(k_start + 1s);
    confs.scan(k_start + 2s);
    CHECK(confs.files().at(k_alpha).companions[1].content == "another");
}

TEST_CASE("what of a conf, its companions and its secrets has changed is known, once") {
    using Changed = std::set<std::string>;
    const Folder folder;
    folder.write("alpha.conf", "description: x\n");
    ConfFolder confs(folder.path());
    auto now = k_start;
    const auto changed = [&] {
        confs.scan(now += 1s);
        confs.scan(now += 1s);
        return confs.take_what_changed(k_alpha);
    };
    CHECK(changed().empty());  // it came
    folder.write("alpha.conf", "description: y\ntimeouts: {job: 1h}\n");
    CHECK(changed() == Changed{"description", "timeouts.job"});
    CHECK(changed().empty());
    folder.write("alpha.conf", "description: y # only a remark\ntimeouts: {job: 1h}\n");
    folder.write("alpha_snappy.yaml", "a: 1");
    CHECK(changed() == Changed{"alpha.conf", "alpha_snappy.yaml"});
    folder.write("alpha_two\nlines\xff.txt", "x");
    const auto odd = changed();
    REQUIRE(odd.size() == 1);
    CHECK(odd.begin()->starts_with("alpha_two"));
    CHECK(odd.begin()->find('\n') == std::string::npos);
    folder.write("alpha.conf", "description: [");
    CHECK(changed().empty());
    folder.write("alpha.conf", "description: z\ntimeouts: {job: 1h}\n");
    CHECK(changed() == Changed{"description"});
    confs.set_secrets(k_alpha, {{"TOKEN", "a"}}, "");
    CHECK(confs.take_what_changed(k_alpha).empty());
    confs.set_secrets(k_alpha, {{"TOKEN", "b"}}, "");
    CHECK(confs.take_what_changed(k_alpha) == Changed{"secret TOKEN"});
}

TEST_CASE("a conf must be absent for 3 s in a folder that can be read") {
    const Folder folder;
    folder.write("alpha.conf", "description: one\n");
    ConfFolder confs(folder.path());
    confs.scan(k_start);
    fs::rename(folder.path(), folder.path() + "-away");
    confs.scan(k_start + 10s);
    confs.scan(k_start + 20s);
    CHECK(confs.files().contains(k_alpha));
    CHECK(confs.complaints().size() == 1);
    fs::rename(folder.path() + "-away", folder.path());
    fs::remove(folder.path() + "/alpha.conf");
    CHECK(confs.scan(k_start + 21s) == k_start + 21s + k_absence);
    CHECK(confs.files().contains(k_alpha));
    confs.scan(k_start + 24s);
    CHECK_FALSE(confs.files().contains(k_alpha));
}

TEST_CASE("a change that was told reads that SUT's files, and leaves the others alone") {
    const Folder folder;
    for (const auto* name : {"alpha.conf", "alpha-2.conf", "bravo.conf"}) folder.write(name, "description: one\n");
    ConfFolder confs(folder.path());
    confs.look(k_start);
    CHECK(confs.take_changed().size() == 3);
    auto look = [&, now = k_start]() mutable {
        confs.look(now += 100ms);
        confs.look(now += 100ms);
        return confs.take_changed();
    };
    // Nobody told of bravo's.
    folder.write("bravo.conf", "description: two\n");
    folder.write("alpha.conf", "description: two\n");
    confs.touch("alpha.conf");
    CHECK(look() == std::set{k_alpha});
    folder.write("alpha_key.pem", "x");
    confs.touch("alpha_key.pem");
    CHECK(look() == std::set{k_alpha});
    CHECK(confs.files().at(k_alpha).companions.size() == 2);
    fs::remove(folder.path() + "/alpha_key.pem");
    confs.touch("alpha_key.pem");
    CHECK(look() == std::set{k_alpha});
    folder.write("alpha-2.yaml", "x");
    confs.touch("alpha-2.yaml");
    CHECK(look() == std::set{*SutName::parse("alpha-2")});
    folder.write("Bad.conf", "");
    confs.touch("Bad.conf");
    CHECK(confs.complaints().contains("Bad.conf"));
    fs::remove(folder.path() + "/Bad.conf");
    confs.touch("Bad.conf");
    CHECK(confs.complaints().empty());
    fs::remove(folder.path() + "/alpha.conf");
    confs.touch("alpha.conf");
    CHECK(confs.look(k_start + 5s) == k_start + 5s + k_absence);
    confs.look(k_start + 5s + k_absence);
    CHECK(confs.take_changed() == std::set{k_alpha});
    CHECK_FALSE(confs.files().contains(k_alpha));
    // What nobody told of is found by the slow look at all.
    confs.look(k_start + k_scan_all);
    confs.look(k_start + k_scan_all + 1s);
    CHECK(confs.take_changed() == std::set{*SutName::parse("bravo")});
}
