#include "said_again.hpp"

#include <doctest/doctest.h>

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

const Topics k_topics;
const SutName k_aa = *SutName::parse("aa");
const SteadyTime k_start{1h};

mqtt::Message message(std::string topic, std::string payload, std::uint64_t connection = 1) {
    mqtt::Message out;
    out.topic = std::move(topic);
    out.payload = std::move(payload);
    out.origin.number = connection;
    return out;
}

}  // namespace

TEST_CASE("said again: what is new is passed on, and only that") {
    SaidAgain said(k_topics);
    for (const auto* topic : {"aa/agent", "aa/submit_status", "aa/jobs"}) {
        CHECK_FALSE(said.take(message(topic, "one"), k_start));
        CHECK(said.take(message(topic, "one"), k_start));
        CHECK_FALSE(said.take(message(topic, "two"), k_start));
        CHECK_FALSE(said.take(message(topic, "one"), k_start));
    }
    CHECK_FALSE(said.take(message("bb/agent", "one"), k_start));
}

TEST_CASE("said again: orders, answers and what is no SUT's are never repetitions") {
    SaidAgain said(k_topics);
    for (const auto* topic : {"aa/submit", "aa/cmd/resume", "aa/res/offer", "aa/job/x", "fleet/cmd/plan", "fleet/agent", "agent", ".bad/agent"})
        for (int i = 0; i < 2; ++i) CHECK_FALSE(said.take(message(topic, "same"), k_start));
    CHECK(said.beats().empty());
}

TEST_CASE("said again: the newest heartbeat of each SUT is told once") {
    SaidAgain said(k_topics);
    CHECK_FALSE(said.take(message("aa/agent", "ok"), k_start));
    CHECK(said.beats().empty());
    for (int i = 1; i <= 3; ++i) CHECK(said.take(message("aa/agent", "ok"), k_start + i * 5s));
    CHECK_FALSE(said.take(message("aa/submit_status", "ready"), k_start + 1min));
    CHECK(said.take(message("aa/submit_status", "ready"), k_start + 1min));
    const auto beats = said.beats();
    REQUIRE(beats.size() == 1);
    CHECK(beats.at(k_aa).says == "ok");
    CHECK(beats.at(k_aa).at == k_start + 15s);
    CHECK(said.beats().empty());
}

TEST_CASE("said again: over another connection, after a topic was cleared, and once forgotten, all is new") {
    SaidAgain said(k_topics);
    CHECK_FALSE(said.take(message("aa/agent", "offline"), k_start));
    CHECK_FALSE(said.take(message("aa/agent", "offline", 2), k_start));
    CHECK(said.take(message("aa/agent", "offline", 2), k_start));
    for (int i = 0; i < 2; ++i) CHECK_FALSE(said.take(message("aa/agent", "", 2), k_start));
    CHECK_FALSE(said.take(message("aa/agent", "offline", 2), k_start));
    CHECK(said.take(message("aa/agent", "offline", 2), k_start));
    said.forget(k_aa);
    CHECK(said.beats().empty());
    CHECK_FALSE(said.take(message("aa/agent", "offline", 2), k_start));
    said.forget_all();
    CHECK_FALSE(said.take(message("aa/agent", "offline", 2), k_start));
}
