// The retained topics of a client, on a connection that the test makes and breaks.
#include "mqtt/board.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

struct Wire final : mqtt::Session {
    bool connected() const override { return up; }
    std::uint64_t epoch() const override { return connection; }
    std::string last_error() const override { return {}; }
    Result<mqtt::PublishId> publish(mqtt::Publication publication) override {
        if (full) return fail(ErrorKind::transient, "full");
        sent.push_back(publication.topic + "=" + publication.payload);
        return mqtt::PublishId{1};
    }
    mqtt::Drained drain() override { return {}; }
    Result<void> subscribe(const mqtt::Subscription&) override { return {}; }
    Result<void> unsubscribe(const std::string&) override { return {}; }
    void move_to(const std::string&) override {}
    void close(std::chrono::milliseconds) override {}
    std::vector<std::string> take() { return std::exchange(sent, {}); }

    bool up = true, full = false;
    std::uint64_t connection = 1;
    std::vector<std::string> sent;
};

using Sent = std::vector<std::string>;
const SteadyTime k_start{1h};

}  // namespace

TEST_CASE("board: what changed is published once, all again on a new connection and once a minute") {
    Wire wire;
    mqtt::Board board;
    board.set("a", "1");
    board.set("b", "2");
    board.flush(wire, k_start);
    CHECK(wire.take() == Sent{"a=1", "b=2"});
    board.set("a", "1");
    board.flush(wire, k_start + 1s);
    CHECK(wire.take().empty());
    board.refresh("a", "1");
    board.flush(wire, k_start + 1s);
    CHECK(wire.take() == Sent{"a=1"});
    wire.connection = 2;
    board.flush(wire, k_start + 2s);
    CHECK(wire.take() == Sent{"a=1", "b=2"});
    board.flush(wire, k_start + 2s + mqtt::k_republish_all);
    CHECK(wire.take() == Sent{"a=1", "b=2"});
    board.forget("b");
    wire.connection = 3;
    board.flush(wire, k_start + 2min);
    CHECK(wire.take() == Sent{"a=1"});
}

TEST_CASE("board: what cannot be sent stays due") {
    Wire wire;
    mqtt::Board board;
    board.set("a", "1");
    wire.up = false;
    board.flush(wire, k_start);
    wire.up = true;
    wire.full = true;
    board.flush(wire, k_start);
    CHECK_FALSE(board.clean());
    wire.full = false;
    board.flush(wire, k_start);
    CHECK(wire.take() == Sent{"a=1"});
    CHECK(board.clean());
}

TEST_CASE("board: a topic is cleared again on a new connection, with which the first time may have been lost, and not for ever") {
    Wire wire;
    mqtt::Board board;
    board.set("a", "1");
    board.flush(wire, k_start);
    board.clear("a");
    board.flush(wire, k_start + 1s);
    CHECK(wire.take() == Sent{"a=1", "a="});
    wire.connection = 2;
    board.flush(wire, k_start + 2s);
    CHECK(wire.take() == Sent{"a="});
    // A minute after it was first cleared is not yet a minute of this connection, nor of a broker that saves what it has.
    board.clear("b");
    board.flush(wire, k_start + 61s);
    CHECK(wire.take() == Sent{"b="});
    board.flush(wire, k_start + 2s + mqtt::k_republish_all);
    CHECK(wire.take() == Sent{"b="});
    board.flush(wire, k_start + 2s + 2 * mqtt::k_republish_all);
    wire.connection = 3;
    board.flush(wire, k_start + 10min);
    CHECK(wire.take().empty());
    // Nor is it of one that was set meanwhile.
    board.clear("c");
    board.flush(wire, k_start + 11min);
    board.flush(wire, k_start + 12min);
    board.set("c", "1");
    board.clear("c");
    board.flush(wire, k_start + 13min);
    wire.take();
    wire.connection = 4;
    board.flush(wire, k_start + 13min + 1s);
    CHECK(wire.take() == Sent{"c="});
    wire.connection = 5;
    board.flush(wire, k_start + 20min);
    board.flush(wire, k_start + 30min);
    board.flush(wire, k_start + 40min);
    wire.take();
    board.clear("a");
    board.set("a", "2");
    board.flush(wire, k_start + 40min);
    CHECK(wire.take() == Sent{"a=2"});
}
