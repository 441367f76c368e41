#include <doctest/doctest.h>

#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "mqtt/session.hpp"
#include "private_broker.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;

namespace {

mqtt::SessionOptions options(const test::PrivateBroker& broker, std::string id) {
    mqtt::SessionOptions out;
    out.url = broker.url();
    out.client_id = std::move(id);
    return out;
}

/// A session with its wake, and all that it has received.
struct Client {
    explicit Client(mqtt::SessionOptions how, mqtt::Session::Intake intake = {})
        : wake(*sys::Wake::open()), session(mqtt::Session::open(std::move(how), wake, std::move(intake))) {}
    bool up() {
        return eventually([this] { return session->connected(); });
    }
    bool received(std::size_t count) {
        return eventually([&] {
            for (auto& message : session->drain().messages) messages.push_back(std::move(message));
            return messages.size() >= count;
        });
    }
    bool send(std::string topic, std::string payload, bool retain = false) {
        mqtt::Publication publication;
        publication.topic = std::move(topic);
        publication.payload = std::move(payload);
        publication.retain = retain;
        publication.user_properties = {{"offset", "7"}};
        return session->publish(publication).has_value();
    }
    sys::Wake wake;
    std::vector<mqtt::Message> messages;
    std::unique_ptr<mqtt::Session> session;
};

}  // namespace

TEST_CASE("a message arrives with its properties; the retain flag is kept as it was published") {
    const test::PrivateBroker broker;
    auto how = options(broker, "reader");
    how.subscriptions = {{"a/#", 1, false}};
    Client reader(how), writer(options(broker, "writer"));
    REQUIRE(reader.up());
    REQUIRE(writer.up());
    REQUIRE(writer.send("a/x", "one"));
    REQUIRE(writer.send("a/x", "two", true));
    REQUIRE(reader.received(2));
    CHECK(reader.messages[0].payload == "one");
    CHECK(reader.messages[0].user_properties == mqtt::UserProperties{{"offset", "7"}});
    CHECK_FALSE(reader.messages[0].retain);
    CHECK(reader.messages[1].retain);
}

TEST_CASE("after kill -9 of the broker the session is back by itself, and says so by its epoch") {
    test::PrivateBroker broker;
    Client client(options(broker, "client"));
    REQUIRE(client.up());
    const auto before = client.session->epoch();
    broker.kill();
    CHECK(eventually([&] { return !client.session->connected(); }));
    CHECK_FALSE(client.session->last_error().empty());
    CHECK_FALSE(client.send("a", "b"));
    broker.start();
    CHECK(client.up());
    CHECK(client.session->epoch() > before);
    CHECK(client.session->last_error().empty());
}

TEST_CASE("a session that loses its broker with a full window publishes on afterwards, each time") {
    test::PrivateBroker broker;
    Client client(options(broker, "writer"));
    for (int round = 0; round < 8; ++round) {
        REQUIRE(client.up());
        std::atomic<bool> gone{false};
        std::jthread killer([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20 * round));
            broker.kill();
            gone = true;
        });
        while (!gone || client.session->connected()) client.send("a", std::string(200, 'x'));
        killer.join();
        broker.start();
    }
    REQUIRE(client.up());
    client.session->drain();
    std::size_t acknowledged = 0;
    for (int sent = 0; sent < 1000; ++sent) {
        REQUIRE(eventually([&] { return client.send("a", "b"); }));
        acknowledged += client.session->drain().acknowledged.size();
    }
    CHECK(eventually([&] { return (acknowledged += client.session->drain().acknowledged.size()) >= 1000; }));
}

TEST_CASE("the will is published when the connection is lost, not after a clean close") {
    const test::PrivateBroker broker;
    auto watching = options(broker, "watcher");
    watching.subscriptions = {{"w/#", 1, false}};
    Client watcher(watching);
    REQUIRE(watcher.up());
    auto willing = options(broker, "willing");
    willing.will = mqtt::Will{"w/will", "offline"};
    Client client(willing);
    REQUIRE(client.up());
    REQUIRE(client.send("w/last", "word"));
    client.session->close(5s);
    REQUIRE(watcher.received(1));
    CHECK(watcher.messages[0].payload == "word");
    Client usurped(willing), usurper(willing);  // the same client id: the first loses its connection
    CHECK(watcher.received(2));
    CHECK(watcher.messages[1].payload == "offline");
}

TEST_CASE("what is published while a persistent client is away waits for it, and intake sees it first") {
    const test::PrivateBroker broker;
    auto how = options(broker, "sleeper");
    how.clean_start = false;
    how.session_expiry = 3600s;
    how.subscriptions = {{"s/submit", 1, false}};
    {
        Client first(how);
        REQUIRE(first.up());
        first.session->close(5s);
    }
    Client writer(options(broker, "writer"));
    REQUIRE(writer.up());
    for (int i = 0; i < 10; ++i) REQUIRE(writer.send("s/submit", std::to_string(i)));
    REQUIRE(eventually([&, acknowledged = std::size_t{0}]() mutable {
        acknowledged += writer.session->drain().acknowledged.size();
        return acknowledged == 10;
    }));
    std::atomic<int> taken{0};
    Client second(how, [&](const mqtt::Message&) { return ++taken, true; });
    CHECK(eventually([&] { return taken == 10; }));
    CHECK(second.session->drain().messages.empty());
    second.session->close(5s);
    CHECK(mqtt::end_session(how, 5s));
}

TEST_CASE("no answer waits for a delayed ACK: 50 round trips at QoS 1") {
    const test::PrivateBroker broker;
    auto how = options(broker, "echo");
    how.subscriptions = {{"t", 1, false}};
    Client client(how);
    REQUIRE(client.up());
    int slow = 0;
    for (std::size_t i = 1; i <= 50; ++i) {
        const auto before = std::chrono::steady_clock::now();
        REQUIRE(client.send("t", "x"));
        REQUIRE(client.received(i));
        slow += std::chrono::steady_clock::now() - before > 38ms ? 1 : 0;
    }
    CHECK(slow < 25);  // with Nagle's algorithm each of them takes 40 ms
}

TEST_CASE("what comes after an idle second does not wait for Paho's receive thread to wake up") {
    // As that thread does it: its wait for the socket has taken a second, or, without a socket, no time.
    const auto seconds_of = [] {
        const auto start = std::chrono::steady_clock::now();
        ::usleep(100'000);
        return std::chrono::steady_clock::now() - start;
    };
    const auto after_a_wait = seconds_of(), at_once_again = seconds_of();
    CHECK(at_once_again >= 100ms);
    CHECK(after_a_wait < at_once_again);
}

TEST_CASE("a session goes on at another address, also from one that never answers; what its will says is said before") {
    const test::SilentServer silent;
    const test::PrivateBroker first, second;
    auto how = options(first, "mover");
    how.url = silent.url();
    how.will = mqtt::Will{"mover/state", "offline"};
    Client mover(how);
    CHECK_FALSE(mover.session->connected());
    mover.session->move_to(first.url());
    REQUIRE(eventually([&] { return mover.session->connected(); }, 60s));
    REQUIRE(mover.send("mover/state", "online", true));
    const auto before = mover.session->epoch();
    mover.session->move_to(second.url());
    REQUIRE(eventually([&] { return mover.session->connected() && mover.session->epoch() > before; }));
    const auto told = [](const test::PrivateBroker& broker) {
        auto reading = options(broker, "reader");
        reading.subscriptions = {{"mover/#", 1, true}, {"there", 1, false}};
        Client reader(reading);
        REQUIRE(reader.up());
        REQUIRE(reader.send("there", "x"));
        REQUIRE(reader.received(1));
        return reader.messages.front().payload;
    };
    CHECK(told(first) == "offline");
    CHECK(told(second) == "x");
}
