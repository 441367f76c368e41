// Who may come to the broker, and what he may do there: the plugin's rules, without a broker.
#include <doctest/doctest.h>

#include <sys/stat.h>
#include <unistd.h>

#include "auth/broker_password.hpp"
#include "door.hpp"
#include "private_broker.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::broker;

namespace {

constexpr auto k_read = AccessRules::Access::read, k_write = AccessRules::Access::write;

AccessRules rules_of(std::string_view text) {
    AccessRules out;
    out.add(text, [](int line, const char* expected) { FAIL(line << expected); });
    return out;
}

void put(const std::string& path, const std::string& text) { REQUIRE(sys::write_file_atomic(path, text, 0600, sys::Durability::fast)); }

}  // namespace

TEST_CASE("door: filters match as the specification says") {
    for (const auto& [filter, topic] : std::vector<std::pair<const char*, const char*>>{
             {"a/b", "a/b"}, {"a/+", "a/b"}, {"a/+", "a/"}, {"+/b", "a/b"}, {"#", "a/b/c"}, {"a/#", "a/b/c"}, {"a/#", "a"}, {"a/+/c", "a//c"}, {"+", "a"},
             {"$SYS/#", "$SYS/broker/uptime"}, {"/+", "/a"}, {"+/+", "/a"}})
        CHECK_MESSAGE(matches(filter, topic), filter << " " << topic);
    for (const auto& [filter, topic] : std::vector<std::pair<const char*, const char*>>{
             {"a/b", "a"}, {"a/b", "a/b/c"}, {"a/+", "a"}, {"a/+", "a/b/c"}, {"a/#", "ab"}, {"+", "a/b"}, {"+", "/a"}, {"#", "$SYS/x"}, {"+/x", "$SYS/x"}, {"a", "b"}, {"a/b", "a/b/"}})
        CHECK_FALSE_MESSAGE(matches(filter, topic), filter << " " << topic);
}

TEST_CASE("door: a user has his own rights and the patterns, another's never") {
    const auto rules = rules_of("# comment\ntopic read news\n\nuser root\ntopic readwrite #\nuser a\ntopic write a/probe\npattern write %u/agent\npattern read %u/cmd/+\n");
    CHECK(rules.may("root", "x/y", AccessRules::Access::both));
    CHECK_FALSE(rules.may("root", "$SYS/x", k_read));
    CHECK(rules.may("a", "a/probe", k_write));
    CHECK_FALSE(rules.may("a", "a/probe", k_read));
    CHECK_FALSE(rules.may("b", "b/probe", k_write));
    CHECK(rules.may("b", "b/agent", k_write));
    CHECK(rules.may("b", "b/cmd/tail", k_read));
    CHECK_FALSE(rules.may("b", "b/cmd/tail", k_write));
    CHECK_FALSE(rules.may("b", "a/agent", k_write));
    CHECK_FALSE(rules.may("b", "news", k_read));
    CHECK(rules.may("", "news", k_read));
    CHECK_FALSE(rules.may("", "/agent", k_write));
    for (const auto* name : {"+", "#", "a/b", "+/agent"}) CHECK_FALSE_MESSAGE(rules.may(name, "a/agent", k_write), name);
}

TEST_CASE("door: a line that is no rule gives no right, and is told") {
    std::string told;
    AccessRules rules;
    rules.add("user a\ntopic all a/x\ntopic a/y\nallow a/z\nuser\ntopic write \ntopic write ok", [&](int line, const char*) { told += std::to_string(line) + " "; });
    CHECK(told == "2 3 4 5 6 ");
    CHECK(rules.may("a", "ok", k_write));
    for (const auto* topic : {"a/x", "a/y", "a/z", ""}) CHECK_FALSE(rules.may("a", topic, k_write));
}

TEST_CASE("door: an id that begins with sutfleet/ is its user's alone") {
    CHECK(may_have_id("sutfleet/alpha", "alpha", true));
    for (const auto* id : {"sutfleet/alpha/x", "sutfleet/alphabet", "sutfleet/bravo", "sutfleet/", "sutfleet", "alpha", ""}) CHECK_FALSE_MESSAGE(may_have_id(id, "alpha", true), id);
    for (const auto* id : {"sutfleet/alpha/x", "sutfleet/alpha/", "mine", "", "sutfleet"}) CHECK_MESSAGE(may_have_id(id, "alpha", false), id);
    for (const auto* id : {"sutfleet/alpha", "sutfleet/alphabet/x", "sutfleet/bravo/x", "sutfleet/"}) CHECK_FALSE_MESSAGE(may_have_id(id, "alpha", false), id);
    CHECK_FALSE(may_have_id("sutfleet//x", "", false));
}

TEST_CASE("door: passwords are read again when they change, and who is to be sent away is told") {
    const test::TempFolder folder;
    const auto first = folder.path() + "/first", second = folder.path() + "/second", access = folder.path() + "/access";
    put(first, *auth::password_line("root", "r") + "\n");
    put(second, *auth::password_line("a", "pa") + "\n" + *auth::password_line("b", "pb") + "\nno line\n" + *auth::password_line("root", "other"));
    std::vector<std::string> warned;
    Door door({{first, second}, {access}}, [&](const std::string& text) { warned.push_back(text); });
    CHECK(warned == std::vector<std::string>{second + ":3: nobody may come in by this line: expected user:$7$iterations$salt$hash"});
    CHECK(door.knows("root", "r"));
    CHECK_FALSE(door.knows("root", "other"));
    CHECK(door.knows("a", "pa"));
    for (const auto& [user, password] : std::vector<std::pair<const char*, const char*>>{{"a", "pb"}, {"a", ""}, {"c", "pa"}, {"", ""}, {"no line", ""}})
        CHECK_FALSE(door.knows(user, password));
    CHECK(door.refresh().empty());
    CHECK_FALSE(door.may("a", "x", k_write));
    put(access, "user a\ntopic write x\n");
    CHECK(door.refresh().empty());
    CHECK(door.may("a", "x", k_write));
    put(second, *auth::password_line("a", "new") + "\n");
    CHECK(door.refresh() == std::vector<std::string>{"a", "b"});
    CHECK(door.knows("a", "new"));
    CHECK_FALSE(door.knows("a", "pa"));
    REQUIRE(::unlink(second.c_str()) == 0);
    CHECK(door.refresh() == std::vector<std::string>{"a"});
    CHECK(door.knows("root", "r"));
    CHECK_FALSE(door.may("a", "x", k_write));  // his connection may last a moment longer
    // What cannot be read is not taken for empty.
    REQUIRE(::mkdir(second.c_str(), 0755) == 0);
    warned.clear();
    CHECK(door.refresh().empty());
    CHECK(door.refresh().empty());
    CHECK(warned.size() == 2);
    CHECK(door.knows("root", "r"));
    REQUIRE(::rmdir(second.c_str()) == 0);
    put(second, *auth::password_line("a", "back") + "\n");
    CHECK(door.refresh().empty());
    CHECK(door.knows("a", "back"));
}

TEST_CASE("door: the lines of mosquitto_passwd are taken") {
    const test::TempFolder folder;
    const auto file = folder.path() + "/passwd";
    REQUIRE(std::system(("mosquitto_passwd -c -b " + file + " someone 'a secret' 2>/dev/null >&2").c_str()) == 0);
    const Door door({{file}, {}}, [](const std::string& text) { FAIL(text); });
    CHECK(door.knows("someone", "a secret"));
    CHECK_FALSE(door.knows("someone", "a secre"));
}
