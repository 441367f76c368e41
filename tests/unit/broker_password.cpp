#include <doctest/doctest.h>

#include "auth/broker_password.hpp"

using namespace sutfleet;

TEST_CASE("broker password: random, of letters that no shell minds; its line names its user") {
    const auto one = auth::make_password(), other = auth::make_password();
    REQUIRE(one);
    CHECK(*one != *other);
    CHECK(one->size() == 32);
    CHECK(one->find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == std::string::npos);
    const auto line = auth::password_line("operator", *one);
    REQUIRE(line);
    CHECK(auth::user_of_line(*line) == "operator");
    CHECK(*line != *auth::password_line("operator", *one));  // another salt
}

TEST_CASE("broker password: what is no line has no user") {
    for (const auto* text : {"", ":$7$101$AAAA$BBBB", "operator", "operator:$6$101$AAAA$BBBB", "operator:$7$101$AAAA", "operator:$7$101$AAAA$",
                             "operator:$7$x$AAAA$BBBB", "operator:$7$101$AAAA$BB$BB", "Operator:$7$101$AAAA$BBBB", "operator:$7$100000$AAAA$BBBB"}) {
        CAPTURE(text);
        CHECK(auth::user_of_line(text).empty());
    }
}
