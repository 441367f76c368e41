// The supervisor's store of secrets, and sutctl that fills it.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "private_broker.hpp"
#include "program.hpp"
#include "secret_store.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using test::eventually;
using test::has;

namespace {

const auto k_alpha = *SutName::parse("alpha"), k_bravo = *SutName::parse("bravo");

struct Store {
    test::TempFolder top;
    std::string folder = top.path() + "/secrets";
    test::Ran secret(std::vector<std::string> words) const {
        words.insert(words.begin(), {SUTCTL, "secret"});
        return test::run(std::move(words), {{"SUTFLEET_SECRETS_DIR", folder}});
    }
    /// The value comes from a file: a test's stdin is empty.
    test::Ran set(std::vector<std::string> words, const std::string& value) const {
        std::ofstream(top.path() + "/value") << value;
        words.insert(words.begin(), {"set", "-f", top.path() + "/value"});
        return secret(std::move(words));
    }
};

unsigned mode_of(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777U : 0;
}

}  // namespace

TEST_CASE("secrets: a SUT's own goes before the shared one; what is missing or no value is told by its key") {
    const Store store;
    REQUIRE(store.set({"--shared", "TOKEN"}, "of all").exit == 0);
    REQUIRE(store.set({"alpha", "TOKEN"}, "of alpha\n").exit == 0);
    CHECK(mode_of(store.folder) == 0700);
    CHECK(mode_of(store.folder + "/alpha/TOKEN") == 0600);
    CHECK(SecretStore::read(store.folder, k_alpha, {{"TOKEN", "TOKEN"}}).value() == SecretValues{{"TOKEN", "of alpha\n"}});
    CHECK(SecretStore::read(store.folder, k_bravo, {{"MINE", "TOKEN"}}).value() == SecretValues{{"MINE", "of all"}});
    std::ofstream(store.folder + "/LATER") << "update-me\n";
    const auto trouble = SecretStore::read(store.folder, k_bravo, {{"TOKEN", "TOKEN"}, {"A", "NONE"}, {"B", "LATER"}}).error().message;
    CHECK(trouble == "secret A is missing: sutctl secret set bravo NONE; secret B is empty or a placeholder; expected its real value: sutctl secret set bravo LATER");
    CHECK(store.secret({"ls"}).out == "SUT       KEY\n(shared)  LATER\n(shared)  TOKEN\nalpha     TOKEN\n");
    CHECK(store.secret({"rm", "alpha", "TOKEN"}).exit == 0);
    CHECK(store.secret({"rm", "alpha", "TOKEN"}).exit == 1);
    CHECK(std::filesystem::exists(store.folder + "/alpha") == false);
}

TEST_CASE("secrets: refused are placeholders, keys that are none, and a value on the command line, which is not repeated") {
    const Store store;
    CHECK(store.set({"alpha", "TOKEN"}, "changeme\n").exit == 4);
    for (const auto& words : std::vector<std::vector<std::string>>{{"alpha", "TOKEN", "s3cr3t"}, {"alpha", "TOKEN=s3cr3t"}, {"s3cr3t"}, {"--shared", "alpha", "s3cr3t"}}) {
        const auto ran = store.set(words, "x");
        CHECK(ran.exit == 2);
        CHECK_FALSE(has(ran.out, "s3cr3t"));
    }
    CHECK_FALSE(std::filesystem::exists(store.folder + "/alpha/TOKEN"));
}

TEST_CASE("secrets: the store is watched: a change is read at once, and only that") {
    const Store store;
    REQUIRE(store.set({"alpha", "TOKEN"}, "one").exit == 0);
    REQUIRE(store.set({"bravo", "TOKEN"}, "two").exit == 0);
    SecretStore watched(store.folder);
    watched.want(k_alpha, {{"TOKEN", "TOKEN"}});
    watched.want(k_bravo, {{"TOKEN", "TOKEN"}});
    const auto now = sys::steady_now();
    CHECK(watched.look(now) == std::set{k_alpha, k_bravo});
    CHECK(watched.look(now).empty());
    REQUIRE(store.set({"bravo", "TOKEN"}, "three").exit == 0);
    CHECK(watched.look(now) == std::set{k_bravo});
    CHECK(watched.values(k_bravo) == SecretValues{{"TOKEN", "three"}});
    REQUIRE(store.secret({"rm", "alpha", "TOKEN"}).exit == 0);
    CHECK(watched.look(now) == std::set{k_alpha});
    CHECK(has(watched.trouble(k_alpha), "secret TOKEN is missing"));
    CHECK(watched.values(k_alpha) == SecretValues{{"TOKEN", "one"}});  // what runs has it still
    // By hand, in a folder that is not watched: at the next look of all.
    std::ofstream(store.folder + "/bravo/TOKEN") << "four";
    CHECK(watched.look(now + k_secrets_again) == std::set{k_bravo});
    watched.want(k_bravo, {});
    CHECK(watched.values(k_bravo).empty());
    // Nobody asks for any: an event of the folder must wake nobody.
    CHECK(watched.fd() >= 0);
    watched.want(k_alpha, {});
    CHECK(watched.look(now).empty());
    CHECK(watched.fd() == -1);
    CHECK_FALSE(watched.due());
}
