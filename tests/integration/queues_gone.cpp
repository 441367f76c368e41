// A job that was granted to a SUT which is gone: the supervisor's program, an engine that gives the journal out of the state
// volume, and the test as the agents.
#include <doctest/doctest.h>

#include <csignal>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>

#include "handover.hpp"
#include "job/journal.hpp"
#include "mqtt/session.hpp"
#include "private_supervisor.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"
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
    explicit Lab(const std::string& crash_at = {}) : PrivateSupervisor(SUPERVISOR), wake(*sys::Wake::open()) {
        mqtt::SessionOptions options;
        options.url = broker.url();
        options.client_id = "test";
        options.subscriptions = {{"#", 1, true}};
        session = mqtt::Session::open(std::move(options), wake);
        for (const auto* sut : {"aa", "bb"}) write_conf(sut, k_conf);
        start(crash_at);
    }
    std::string get(const std::string& topic) {
        for (auto& message : session->drain().messages) {
            heard[message.topic] = message.payload;
            if (has(message.topic, "/cmd/")) commands.emplace_back(message.topic, message.payload);
        }
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
    std::deque<std::pair<std::string, std::string>> commands;
};

/// An agent's book, over the bus: what it is granted it starts at once when it may, and ends.
struct Agent {
    Agent(Lab& its_lab, const std::string& its_name) : lab(its_lab), name(its_name), book(*agent::JobBook::open(folder.path(), *SutName::parse(name), sys::wall_now())) {}
    void obey(const std::string& verb, const std::string& payload) {
        if (!agent::is_handover(verb)) return;
        const auto said = agent::hand_over(*book, verb, payload, true, sys::wall_now());
        lab.publish(name + "/res/" + verb, json{{"status", said ? "ok" : "error"}, {"data", said ? json::parse(*said) : json(nullptr)}}.dump());
        auto next = works ? book->next(sys::wall_now()) : std::nullopt;
        if (!next) return;
        ++started[next->id.str()];
        for (const auto state : {agent::JobState::running, agent::JobState::succeeded}) {
            next->state = state;
            next = *book->update(*next);
        }
        lab.publish(name + "/job/" + next->id.str(), agent::encode_job_record(*next), true);
    }
    [[nodiscard]] std::string journal() const {
        return *docker::write_tar({{VolumeEntry::Kind::file, "jobs.journal", sys::read_file(folder.path() + "/jobs.journal", 1 << 20).value()}});
    }

    Lab& lab;
    const std::string name;
    test::TempFolder folder;
    std::unique_ptr<agent::JobBook> book;
    bool works = true, gone = false;
    std::map<std::string, int> started;
};

/// A supervisor that dies once, at a point, and a day on which every step of the queues is taken.
struct Day : Lab {
    explicit Day(const std::string& point) : Lab("1 " + point) { aa.works = false; }
    bool until(const std::function<bool()>& condition) {
        return eventually([&] {
            if (!runs()) {
                ++deaths;
                start();
            }
            get("");
            for (; !commands.empty(); commands.pop_front())
                for (auto* one : {&aa, &bb})
                    if (const auto& topic = commands.front().first; !one->gone && topic.starts_with(one->name + "/")) one->obey(topic.substr(topic.rfind('/') + 1), commands.front().second);
            return condition();
        }, 90s);
    }
    bool shows(const std::string& job, const std::string& text) {
        return until([&] { return has(heard["fleet/queue/lab/job/" + job], text); });
    }
    /// As whoever needs it to be taken does: again and again.
    void submit(const std::string& job) {
        REQUIRE(until([&] {
            publish("fleet/queue/lab/submit", R"({"id":")" + job + R"(","command":"true"})");
            std::this_thread::sleep_for(200ms);
            return has(get("fleet/queue/lab/job/" + job), "\"QUEUED\"");
        }));
    }

    Agent aa{*this, "aa"}, bb{*this, "bb"};
    int deaths = 0;
};

}  // namespace

TEST_CASE("queues: the supervisor dies at each step of a job's way, and the next one goes on from there") {
    for (const auto* point : {"pool: decided, not acknowledged", "pool: offered, not sent", "pool: granted, not sent", "gone: withdrawn, not read",
                              "pool: withdrawn, not canceled", "pool: canceled, not said"}) {
        CAPTURE(point);
        Day day(point);
        REQUIRE(day.until([&] { return has(day.heard["fleet/queue/lab/status"], R"("serves":["aa","bb"])"); }));
        day.is_idle("aa");
        day.submit("mine");
        REQUIRE(day.until([&] { const auto record = day.aa.book->find(*JobId::parse("mine")); return record && !record->only_offered(); }));
        day.aa.gone = true;
        day.engine.set_archive("lab-aa-state", 200, day.aa.journal());
        day.remove_conf("aa");
        CHECK(day.shows("mine", "aa is gone, and had not started it"));
        day.submit("second");
        CHECK(day.until([&] {
            day.publish("fleet/cmd/cancel", "lab second");
            std::this_thread::sleep_for(200ms);
            return has(day.get("fleet/queue/lab/job/second"), "\"CANCELED\"");
        }));
        day.is_idle("bb");
        CHECK(day.shows("mine", "\"SUCCEEDED\""));
        CHECK(day.bb.started == std::map<std::string, int>{{"mine", 1}});
        CHECK(day.deaths == 1);
        // The first SUT is back, with its volume, and the grant comes once more.
        REQUIRE(sys::write_file_atomic(day.aa.folder.path() + "/withdrawn.mine", "1\n", 0644, sys::Durability::fast));
        day.aa.book.reset();
        day.aa.book = *agent::JobBook::open(day.aa.folder.path(), *SutName::parse("aa"), sys::wall_now());
        day.aa.works = true;
        day.aa.obey("grant", R"({"id":"mine","number":1})");
        CHECK(day.aa.started.empty());
    }
}

TEST_CASE("queues: what a supervisor showed of a queue that no SUT serves when the next one starts is taken back") {
    Lab lab;
    REQUIRE(lab.says("fleet/queue/lab/status", R"("serves":["aa","bb"])"));
    lab.publish("fleet/queue/lab/submit", R"({"id":"mine","command":"true"})");
    REQUIRE(lab.record_says("QUEUED"));
    lab.publish("fleet/cmd/cancel", "lab mine");
    REQUIRE(lab.record_says("CANCELED"));
    lab.signal(SIGTERM);
    REQUIRE(eventually([&] { return !lab.runs(); }, 30s));
    for (const auto* sut : {"aa", "bb"}) lab.write_conf(sut, "queues: [new]\nhealth: {max_age: 1d}\n");
    lab.start();
    REQUIRE(lab.says("fleet/queue/new/status", R"("serves":["aa","bb"])"));
    CHECK(eventually([&] { return lab.get("fleet/queue/lab/status").empty(); }, 30s));
    CHECK(has(lab.get("fleet/queue/lab/job/mine"), "CANCELED"));  // the journal has it
}

TEST_CASE("queues, a SUT that is gone: what never started there is withdrawn there, and goes to another SUT") {
    Lab lab;
    lab.engine.set_archive("lab-aa-state", 500, R"({"message":"a fault of the test"})");
    lab.grant_and_go();
    CHECK(lab.record_says("waiting for aa, which is gone: a fault of the test"));
    CHECK(has(lab.engine.archive_put("lab-aa-state"), "withdrawn.mine"));
    lab.engine.set_archive("lab-aa-state", 404, R"({"message":"No such container: x"})");
    CHECK(lab.record_says("waiting for aa, which is gone: a helper container was removed by somebody: No such container: x"));
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
