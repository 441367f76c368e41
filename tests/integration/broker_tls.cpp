// The stack's certificates as broker/certificates.sh makes them, and that our programs check them.
#include <doctest/doctest.h>

#include <chrono>
#include <csignal>
#include <memory>

#include "certificate.hpp"
#include "lab.hpp"
#include "mqtt/session.hpp"
#include "sutctl_run.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;

namespace {

std::string text_of(const std::string& path) { return sys::read_file(path, 1 << 16).value_or(""); }

/// A folder with a CA and a certificate for the names.
struct Certificates {
    explicit Certificates(std::vector<std::string> names, const std::string& days = "397") { make(std::move(names), days); }
    test::Ran make(std::vector<std::string> names, const std::string& days = "397") const {
        std::vector<std::string> argv{SOURCE_FOLDER "/broker/certificates.sh", folder.path(), folder.path() + "/tls"};
        argv.insert(argv.end(), names.begin(), names.end());
        return test::run(argv, {{"SUTFLEET_TLS_DAYS", days}});
    }
    [[nodiscard]] std::string ca() const { return folder.path() + "/ca.pem"; }
    [[nodiscard]] std::string server() const { return text_of(folder.path() + "/tls/server.pem"); }
    /// Listeners for the private broker, beside its plain one: it does not start with websockets alone.
    [[nodiscard]] std::string listeners() const {
        const auto with = "\ncertfile " + folder.path() + "/tls/broker.pem\nkeyfile " + folder.path() + "/tls/broker.pem\n";
        return "listener " + std::to_string(mqtts) + " 127.0.0.1" + with + "listener " + std::to_string(wss) + "\nprotocol websockets" + with;
    }
    // Paho C 1.3.12 finds an address in a certificate for mqtts, but not for wss.
    [[nodiscard]] std::vector<std::string> urls() const {
        return {"mqtts://127.0.0.1:" + std::to_string(mqtts), "wss://localhost:" + std::to_string(wss)};
    }
    int mqtts = test::free_port(), wss = test::free_port();
    test::TempFolder folder;
};

struct Client {
    Client(const std::string& url, const std::string& ca) : wake(*sys::Wake::open()) {
        mqtt::SessionOptions options;
        options.url = url;
        options.client_id = "client";
        options.ca = ca;
        session = mqtt::Session::open(std::move(options), wake);
    }
    bool up() { return eventually([this] { return session->connected(); }); }
    /// A first attempt has failed, and not for want of time.
    bool refused() {
        return eventually([this] { return !session->connected() && session->last_error() != "not connected yet" && !session->last_error().empty(); });
    }
    sys::Wake wake;
    std::unique_ptr<mqtt::Session> session;
};

}  // namespace

TEST_CASE("certificates: what is good stays; a missing name, an end that is near or another CA makes a new one") {
    const Certificates made({"localhost", "127.0.0.1", "lab.example.org"});
    const auto first = made.server();
    REQUIRE(certificate_end(first));
    CHECK(has(text_of(made.folder.path() + "/tls/broker.pem"), "PRIVATE KEY"));
    CHECK_FALSE(has(first, "PRIVATE KEY"));
    made.make({"localhost", "127.0.0.1"});
    CHECK(made.server() == first);
    made.make({"localhost", "192.0.2.7"});
    const auto second = made.server();
    CHECK(second != first);
    const Certificates brief({"localhost"}, "30");
    const auto short_lived = brief.server();
    CHECK(*certificate_end(short_lived) < sys::wall_now() + 31 * 24h);
    brief.make({"localhost"});
    CHECK(*certificate_end(brief.server()) > sys::wall_now() + 390 * 24h);
    CHECK(::rename((brief.folder.path() + "/ca.pem").c_str(), made.ca().c_str()) == 0);
    CHECK(::rename((brief.folder.path() + "/ca.key").c_str(), (made.folder.path() + "/ca.key").c_str()) == 0);
    made.make({"localhost"});
    CHECK(made.server() != second);
}

TEST_CASE("certificates: what is no name is refused, and nothing is made of it") {
    const Certificates made({"localhost"});
    const auto before = made.server();
    const auto ran = made.make({"localhost", "a,IP:0.0.0.0"});
    CHECK(ran.exit != 0);
    CHECK(has(ran.out, "expected a host name or an IP address"));
    CHECK(made.server() == before);
}

TEST_CASE("tls: a broker with a certificate of our CA for this name is ours, by mqtts and by wss") {
    const Certificates made({"localhost", "127.0.0.1"});
    const test::PrivateBroker broker(made.listeners());
    for (const auto& url : made.urls()) {
        CAPTURE(url);
        Client client(url, made.ca());
        CHECK(client.up());
    }
}

TEST_CASE("tls: another CA's certificate and one for another name are refused") {
    const Certificates made({"localhost", "127.0.0.1"}), other({"localhost", "127.0.0.1"}), elsewhere({"lab.example.org"});
    const test::PrivateBroker broker(made.listeners()), strange(elsewhere.listeners());
    for (std::size_t i = 0; i < 2; ++i) {
        CAPTURE(made.urls()[i]);
        Client right(made.urls()[i], made.ca()), wrong_ca(made.urls()[i], other.ca()), no_ca(made.urls()[i], ""), wrong_name(elsewhere.urls()[i], elsewhere.ca());
        CHECK(right.up());  // so that the others are not refused for something else
        CHECK(wrong_ca.refused());
        CHECK(no_ca.refused());
        CHECK(wrong_name.refused());
    }
}

TEST_CASE("tls: sutctl checks the certificate by the CA that stands beside its settings") {
    const Certificates made({"127.0.0.1"}), other({"127.0.0.1"});
    const test::PrivateBroker broker(made.listeners());
    const auto url = made.urls().front();
    const auto ask = [&](const Certificates& by) {
        const auto file = by.folder.path() + "/client.env";
        REQUIRE(sys::write_file_atomic(file, "SUTFLEET_BROKER=" + url + "\nSUTFLEET_USER=operator\nSUTFLEET_PASSWORD=x\nSUTFLEET_CA=ca.pem\n", 0600, sys::Durability::fast));
        return test::run(test::sutctl_argv("ps -q"), {{"SUTFLEET_ENV_FILE", file}, {"SUTFLEET_PASSWORD", ""}});
    };
    CHECK(ask(made).exit == 0);
    const auto refused = ask(other);
    CHECK(refused.exit == 3);
    CHECK(has(refused.out, "its CA's certificate"));
}

TEST_CASE("tls: an agent goes where its conf says and checks the broker by what is delivered with it; its process and jobs stay") {
    const Certificates made({"localhost", "127.0.0.1"}), other({"localhost", "127.0.0.1"});
    AgentRules rules = test::shell_rules("echo up $$; while :; do sleep 1; done");
    test::Lab lab(AGENT_ENTRY, rules, made.listeners());
    lab.submit(R"({"id":"long","command":"echo begun; while [ ! -e go ]; do sleep 0.1; done; echo over"})");
    REQUIRE(lab.says("job/long", "RUNNING"));
    const auto deliver = [&](const Certificates& by) {
        lab.agent->set_broker(made.urls().front(), text_of(by.ca()));
        lab.agent->deliver(rules);
    };
    deliver(other);
    REQUIRE(lab.says("agent", "offline"));  // and not back: the certificate is refused
    REQUIRE(eventually([&] { return has(lab.agent->err(), "broker") && has(lab.agent->heartbeat(), "broker"); }));
    lab.submit(R"({"id":"next","command":"true"})");
    CHECK(lab.get("job/next").empty());
    CHECK(lab.get("agent") == "offline");
    deliver(made);
    REQUIRE(lab.says("agent", "ok"));
    CHECK(lab.says("job/next", "QUEUED"));
    const auto places = lab.agent->folder() + "/state/jobs/long/";
    REQUIRE(sys::write_file_atomic(places + "go", "", 0600, sys::Durability::fast));
    CHECK(lab.says("job/long", "SUCCEEDED"));
    CHECK(lab.says("job/next", "SUCCEEDED"));
    CHECK(lab.agent->log().find("up ") == lab.agent->log().rfind("up "));
    // It comes so at its start, too.
    lab.restart_agent(SIGKILL);
    REQUIRE(lab.says("agent", "ok"));
    CHECK(test::is_final(lab.run("last", R"({"id":"last","command":"true"})")));
}

TEST_CASE("tls: the supervisor takes no address for agents that they could not check") {
    const auto ran = test::run({SUPERVISOR, "--agent-broker", "mqtts://lab:8884", "--plan"}, {});
    CHECK(ran.exit == 2);
    CHECK(has(ran.out, "expected --agent-ca"));
    CHECK(test::run({SUPERVISOR, "--agent-broker", "wss://lab:9443", "--agent-ca", "x", "--plan"}, {}).exit == 2);
    const Certificates made({"localhost"});
    const auto read = [](const std::string& url, const std::string& path) {
        Settings settings;
        settings.agent_broker = url;
        settings.agent_ca = path;
        return read_authority(settings);
    };
    CHECK(read("mqtt://broker:1884", "/no/ca.pem")->empty());
    CHECK(*read("mqtts://lab:8884", made.ca()) == text_of(made.ca()));
    CHECK(has(read("mqtts://lab:8884", "/etc/passwd").error().message, "expected a certificate"));
    CHECK_FALSE(read("mqtts://lab:8884", "/no/ca.pem"));
}

TEST_CASE("certificate: degraded from 14 days before its end, with the date and what to do") {
    const auto end = *parse_rfc3339("2027-03-15T10:00:00.000Z");
    CHECK(certificate_word(end, end - 15 * 24h) == "until 2027-03-15");
    CHECK(certificate_word(end, end - 14 * 24h + 1s) == "degraded: the broker's certificate ends on 2027-03-15; renew it by ./tools/up, which restarts no agent");
    CHECK(has(certificate_word(end, end), "has ended on 2027-03-15"));
    CHECK(certificate_word(fail(ErrorKind::not_found, "x"), end) == "none");
    CHECK(has(certificate_word(certificate_end("no certificate"), end), "degraded: the broker's certificate cannot be read"));
}

TEST_CASE("certificate: the supervisor says it in fleet/state and as an event") {
    const Certificates made({"localhost"}, "10");
    const test::TempFolder folder;
    test::PrivateBroker broker;
    const auto wake = *sys::Wake::open();
    mqtt::SessionOptions options;
    options.url = broker.url();
    options.client_id = "reader";
    options.subscriptions = {{"fleet/#", 1, true}};
    const auto reader = mqtt::Session::open(std::move(options), wake);
    REQUIRE(eventually([&] { return reader->connected(); }));
    test::Program supervisor({SUPERVISOR, "--conf-dir", folder.path(), "--state-dir", folder.path() + "/state", "--auth-dir", made.folder.path(),
                              "--broker", broker.url(), "--docker-host", "unix:///no/engine.sock", "--metrics", "off"});
    std::string state;
    CHECK(eventually([&] {
        for (const auto& message : reader->drain().messages)
            if (message.topic == "fleet/state") state = message.payload;
        return has(state, "\"broker\":\"degraded: the broker's certificate ends on");
    }));
}
