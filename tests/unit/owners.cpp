// Who an agent runs as, and so whom its files must belong to.
#include <doctest/doctest.h>

#include "container_spec.hpp"
#include "state_owner.hpp"

using namespace sutfleet;

TEST_CASE("the owner of an agent's files: numbers, names of the image, nothing") {
    const std::string passwd = "root:x:0:0:root:/root:/bin/sh\nshort:x\nodd:x:no:1::/:\njenkins:x:1000:1001:,,,:/home/jenkins:/bin/sh";
    struct Row {
        std::string user;
        std::optional<std::pair<unsigned, unsigned>> owner;
    };
    const Row rows[] = {{"", {{0, 0}}},
                        {"1000", {{1000, 1000}}},
                        {"1000:5", {{1000, 5}}},
                        {"1000:dialout", {{1000, 1000}}},
                        {"root", {{0, 0}}},
                        {"jenkins", {{1000, 1001}}},
                        {"jenkins:7", {{1000, 7}}},
                        {"jenkins:dialout", {{1000, 1001}}},
                        {"jenkin", {}},
                        {"short", {}},
                        {"odd", {}},
                        {"99999999999", {}}};
    for (const auto& [user, wanted] : rows) {
        CAPTURE(user);
        const auto owner = owner_of(user, [&] { return passwd; });
        REQUIRE(owner.has_value() == wanted.has_value());
        if (owner) CHECK(std::pair(owner->uid, owner->gid) == *wanted);
        else CHECK(owner.error().message.find("no user '" + user + "'") != std::string::npos);
    }
    // Numbers need no image to be looked into; without what is needed there is no guess.
    const auto broken = [] { return Result<std::string>(fail(ErrorKind::not_found, "no /etc/passwd")); };
    CHECK(owner_of("7:8", broken));
    CHECK_FALSE(owner_of("jenkins", broken));
}

TEST_CASE("agent-entry --own takes two numbers") {
    const auto owner = agent::parse_state_owner("1000:1001");
    REQUIRE(owner);
    CHECK(owner->uid == 1000);
    CHECK(owner->gid == 1001);
    for (const auto* bad : {"", "1", "1:", ":1", "a:1", "1:2x", "1:-2", "99999999999:1"}) {
        CAPTURE(bad);
        CHECK_FALSE(agent::parse_state_owner(bad));
    }
}
