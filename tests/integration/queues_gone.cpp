// A job that was granted to a SUT which is gone: the supervisor's program, an engine that gives the journal out of the state
// volume, and the test as the agents.
#include <doctest/doctest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "job/journal.hpp"
#include "mqtt/session.hpp"
#include "private_supervisor.hpp"
#include "tar_writer.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using nlohmann::json;
using test::eventually;
using test::has;

namespace {

constexpr auto k_conf = "queues: [lab]\nhealth: {max_age: 1d}\n";

std::string journal_with(const std::string& record) {
    const auto journal = encode_journal_entry({R"({"id":"other","state":"RUNNING","attempt":1})", "x"}) + encode_journal_entry({record, ""});
    return *docker::write_tar({{VolumeEntry::Kind::file, "jobs.journal", journal}});
}
constexpr auto k_granted = R"({"id":"mine","state":"QUEUED","attempt":1,"handover":{"queue":"lab","number":1,"granted":true}})";

struct Lab : test::PrivateSupervisor {
    Lab() : PrivateSupervisor(SUPERVISOR), wake(*sys::Wake::open()) {
        mqtt::SessionOptions options;
        options.url = broker.url();
        options.client_id = "test";
        options.subscriptions = {{"#", 1, true}};
        session = mqtt::Session::open(std::move(options), wake);
        for (const auto* sut : {"aa", "bb"}) write_conf(sut, k_conf);
        start();
    }
    std::string get(const std::string& topic) {
        for (auto& message : session->drain().messages) heard[message.topic] = message.payload;
        return heard[topic];
    }
    bool says(const std::string& topic, const std::string& text) {
        const bool said = eventually([&] { return has(get(topic), text); }, 60s);
        if (!said) MESSAGE(topic, ": ", get(topic));
        return said;
    }
    void publish(const std::string& topic, const std::string& payload, bool retain = false) {
        mqtt::Publication publication;
        publication.topic = topic;
        publication.payload = payload;
        publication.retain = retain;
        REQUIRE(eventually([&] { return session->publish(publication).has_value(); }));
    }
    void is_idle(const std::string& sut) {
        publish(sut + "/agent", "ok", true);
        publish(sut + "/submit_status", "ready", true);
    }
    /// From the submit to the grant, after which `aa` says nothing more and its conf is deleted.
    void grant_and_go() {
        REQUIRE(eventually([&] { return engine.running() == 2; }, 60s));
        REQUIRE(says("fleet/queue/lab/status", R"("serves":["aa","bb"])"));
        is_idle("aa");
        publish("fleet/queue/lab/submit", R"({"id":"mine","command":"true"})");
        REQUIRE(says("aa/cmd/offer", R"("number":1)"));
        publish("aa/res/offer", json{{"status", "ok"}, {"data", {{"id", "mine"}, {"number", 1}, {"word", "offered"}, {"why", ""}, {"record", nullptr}}}}.dump());
        REQUIRE(says("aa/cmd/grant", R"("number":1)"));
        remove_conf("aa");
    }
    bool record_says(const std::string& text) { return says("fleet/queue/lab/job/mine", text); }

    sys::Wake wake;
    std::unique_ptr<mqtt::Session> session;
    std::map<std::string, std::string> heard;
};

}  // namespace

TEST_CASE("queues, a SUT that is gone: what never started there is withdrawn there, and goes to another SUT") {
    Lab lab;
    lab.engine.set_archive("lab-aa-state", 500, R"({"message":"a fault of the test"})");
    lab.grant_and_go();
    CHECK(lab.record_says("waiting for aa, which is gone: a fault of the test"));
    CHECK(has(lab.engine.archive_put("lab-aa-state"), "withdrawn.mine"));
    lab.engine.set_archive("lab-aa-state", 200, journal_with(k_granted));
    CHECK(lab.record_says(R"("reason":"aa is gone, and had not started it")"));
    lab.is_idle("bb");
    CHECK(lab.says("bb/cmd/offer", R"("number":2)"));
    CHECK_FALSE(lab.engine.runs("aa"));
}

TEST_CASE("queues, a SUT that is gone: started and not ended is LOST, ended has its record, and without a journal the truth is told") {
    Lab lab;
    SUBCASE("it ran") {
        lab.engine.set_archive("lab-aa-state", 200, journal_with(R"({"id":"mine","state":"RUNNING","attempt":1})"));
        lab.grant_and_go();
        CHECK(lab.record_says(R"("state":"LOST","sut":"aa")"));
        CHECK(lab.record_says("aa is gone: its container went while the job ran"));
    }
    SUBCASE("it ended") {
        lab.engine.set_archive("lab-aa-state", 200, journal_with(R"({"id":"mine","state":"FAILED","attempt":1,"exit":7,"reason":"test ended with 7"})"));
        lab.grant_and_go();
        CHECK(lab.record_says(R"("state":"FAILED","sut":"aa","position":null,"why":null,"exit":7,"reason":"test ended with 7")"));
    }
    SUBCASE("no journal") {
        lab.engine.set_archive("lab-aa-state", 404, R"({"message":"no such file"})");
        lab.grant_and_go();
        CHECK(lab.record_says("aa is gone: its state volume has no journal, so that nobody knows whether the job ran"));
    }
    SUBCASE("no volume") {
        lab.engine.keep_no_volume("lab-aa-state");
        lab.grant_and_go();
        CHECK(lab.record_says("aa is gone: its state volume lab-aa-state is gone, too, so that nobody knows whether the job ran"));
    }
    CHECK(lab.runs());
}
