// What an agent may write on the bus, by the broker's own access file and the supervisor's lines behind it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <optional>

#include "auth/broker_password.hpp"
#include "mqtt/session.hpp"
#include "mqtt/submitter.hpp"
#include "private_broker.hpp"
#include "registrar.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;
using test::eventually;
using test::has;

namespace {

std::string text_of(const std::string& path) { return sys::read_file(path, 1 << 20).value_or(""); }

std::unique_ptr<mqtt::Session> session(const std::string& url, const std::string& user, const std::string& password, const sys::Wake& wake) {
    mqtt::SessionOptions options;
    options.url = url;
    options.client_id = "sutfleet/" + user;
    options.user = user;
    options.password = [password] { return password; };
    options.subscriptions = {{"#", 1, true}};
    return mqtt::Session::open(std::move(options), wake);
}

bool publish(mqtt::Session& session, const std::string& topic) {
    mqtt::Publication publication;
    publication.topic = topic;
    publication.payload = "x";
    return eventually([&] { return session.publish(publication).has_value(); });
}

constexpr const char* k_doors = "per_listener_settings true\n";

/// As the broker's entry script does when a file has changed.
void ask(const test::PrivateBroker& broker) {
    REQUIRE(std::system(("bash " SOURCE_FOLDER "/broker/ask.sh " + std::to_string(broker.port())).c_str()) == 0);
}

/// The broker's listener for programs, as in broker/mosquitto.conf.
std::string door_conf(const test::TempFolder& folder) {
    return "allow_anonymous false\nplugin " BROKER_PLUGIN "\nplugin_opt_programs true\nplugin_opt_passwords " + folder.path() + "/supervisor.passwd " +
           folder.path() + "/agents.passwd\nplugin_opt_access " SOURCE_FOLDER "/broker/agents.acl " + folder.path() + "/agents.acl\n";
}

/// The supervisor and alpha's agent, connected at such a door.
struct Connected {
    explicit Connected(const Registrar::Topics& suts) {
        REQUIRE(registrar.ensure(suts));
        REQUIRE(sys::write_file_atomic(folder.path() + "/supervisor.passwd", *auth::password_line("supervisor", "secret") + "\n", 0644, sys::Durability::fast));
        broker.emplace(door_conf(folder), k_doors);
        supervisor = session(broker->url(), "supervisor", "secret", wake);
        agent = session(broker->url(), "alpha", registrar.credential(alpha), wake);
        REQUIRE(eventually([&] { return supervisor->connected() && agent->connected(); }));
    }

    const test::TempFolder folder;
    const SutName alpha = *SutName::parse("alpha");
    Registrar registrar{folder.path(), folder.path()};
    std::optional<test::PrivateBroker> broker;
    const sys::Wake wake = *sys::Wake::open();
    std::unique_ptr<mqtt::Session> supervisor, agent;
};

}  // namespace

TEST_CASE("registrar: an agent may write its probes' topics, and cannot submit to itself or write for another") {
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo");
    Connected lab({{alpha, {"alpha/c3", "alpha/web"}}, {bravo, {"bravo/c4"}}});
    const auto &supervisor = lab.supervisor, &agent = lab.agent;
    std::set<std::string> heard, read;
    for (const auto* topic : {"alpha/c3", "alpha/web", "alpha/credential/token", "alpha/agent", "alpha/submit", "alpha/c4", "bravo/c4", "bravo/c3",
                              "alpha/cmd/restart", "alpha/c3/x", "alpha", "fleet/cmd/apply", "alpha/state"})
        REQUIRE(publish(*agent, topic));
    CHECK(eventually([&] {
        for (const auto& message : supervisor->drain().messages) heard.insert(message.topic);
        return heard.contains("alpha/state");  // in order: what is not there by now was refused
    }));
    CHECK(heard == std::set<std::string>{"alpha/c3", "alpha/web", "alpha/credential/token", "alpha/agent", "alpha/state"});
    for (const auto* topic : {"alpha/c3", "bravo/submit", "alpha/submit", "alpha/cmd/restart"})
        REQUIRE(publish(*supervisor, topic));
    CHECK(eventually([&] {
        for (const auto& message : agent->drain().messages) read.insert(message.topic);
        return read.contains("alpha/cmd/restart");
    }));
    CHECK(read == std::set<std::string>{"alpha/submit", "alpha/cmd/restart"});
    // A probe that comes into the conf later: the agent is connected, and stays so.
    REQUIRE(lab.registrar.ensure({{alpha, {"alpha/c4"}}, {bravo, {}}}));
    ask(*lab.broker);
    CHECK(eventually([&] {
        for (const auto& message : supervisor->drain().messages) heard.insert(message.topic);
        return publish(*agent, "alpha/c4") && heard.contains("alpha/c4");
    }));
    CHECK(agent->epoch() == 1);
}

TEST_CASE("registrar: users come and go while the broker runs, also with sessions of who is away") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo"), late = *SutName::parse("late");
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.ensure({{alpha, {}}, {bravo, {}}}));
    test::PrivateBroker broker(door_conf(folder) + "persistent_client_expiration 8d\n", k_doors);
    const auto wake = *sys::Wake::open();
    auto away = session(broker.url(), "bravo", registrar.credential(bravo), wake);
    const auto agent = session(broker.url(), "alpha", registrar.credential(alpha), wake);
    REQUIRE(eventually([&] { return away->connected() && agent->connected(); }));
    away.reset();
    broker.stop();
    broker.start();  // with the session of who is away
    const auto pid = broker.pid();
    REQUIRE(eventually([&] { return agent->connected() && agent->epoch() >= 2; }));
    const auto epoch = agent->epoch();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(registrar.ensure({{late, {"late/c" + std::to_string(i)}}}));
        const auto one = session(broker.url(), "late", registrar.credential(late), wake);
        REQUIRE(eventually([&] { return one->connected(); }));
        REQUIRE(publish(*one, "late/c" + std::to_string(i)));
        REQUIRE(registrar.forget(late));
        ask(broker);
        CHECK(eventually([&] { return !one->connected(); }));
    }
    CHECK(agent->connected());
    CHECK(agent->epoch() == epoch);
    CHECK(broker.pid() == pid);
    away = session(broker.url(), "bravo", registrar.credential(bravo), wake);
    CHECK(eventually([&] { return away->connected(); }));
}

TEST_CASE("registrar: the door for agents from elsewhere takes none but agents, and ends who is gone though nobody asks there") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha");
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.ensure({{alpha, {}}}));
    REQUIRE(sys::write_file_atomic(folder.path() + "/supervisor.passwd", *auth::password_line("supervisor", "secret") + "\n", 0644, sys::Durability::fast));
    const int elsewhere = test::free_port();
    auto agents_only = door_conf(folder);
    agents_only.replace(agents_only.find(folder.path() + "/supervisor.passwd"), (folder.path() + "/supervisor.passwd").size(), "");
    const test::PrivateBroker broker(door_conf(folder) + "listener " + std::to_string(elsewhere) + " 127.0.0.1\n" + agents_only, k_doors);
    const auto wake = *sys::Wake::open();
    const auto url = "mqtt://127.0.0.1:" + std::to_string(elsewhere);
    const auto agent = session(url, "alpha", registrar.credential(alpha), wake);
    const auto supervisor = session(url, "supervisor", "secret", wake);
    REQUIRE(eventually([&] { return agent->connected() && has(supervisor->last_error(), "135"); }));
    CHECK_FALSE(supervisor->connected());
    REQUIRE(registrar.forget(alpha));
    ask(broker);
    CHECK(eventually([&] { return !agent->connected(); }));
}

TEST_CASE("registrar: who takes a submit is told the broker's user, whatever its sender wrote") {
    Connected lab({{*SutName::parse("alpha"), {}}});
    mqtt::Publication publication;
    publication.topic = "alpha/submit";
    publication.payload = "true";
    publication.user_properties = {{k_submitted_by_user, "forged"}, {mqtt::k_submitted_by, "ann@desk"}, {k_submitted_by_user, "forged"}};
    REQUIRE(lab.supervisor->publish(publication));
    std::vector<mqtt::Message> got;
    REQUIRE(eventually([&] { return !(got = lab.agent->drain().messages).empty(); }));
    const auto submitter = mqtt::submitter_of(got.front().user_properties);
    CHECK(submitter.user == "supervisor");
    CHECK(submitter.name == "ann@desk");
}

TEST_CASE("registrar: who has another password is sent away, and comes in by the new one only") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha");
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.ensure({{alpha, {}}}));
    test::PrivateBroker broker(door_conf(folder), k_doors);
    const auto wake = *sys::Wake::open();
    const auto before = session(broker.url(), "alpha", registrar.credential(alpha), wake);
    REQUIRE(eventually([&] { return before->connected(); }));
    REQUIRE(registrar.rotate(alpha));
    REQUIRE(registrar.delivered(alpha, registrar.newest(alpha)));
    // He comes in by the new one before anybody has told the broker, and while his other connection is still there.
    auto early = session(broker.url(), "alpha", registrar.credential(alpha), wake);
    REQUIRE(eventually([&] { return early->connected() && !before->connected(); }));
    early.reset();
    ask(broker);
    const auto after = session(broker.url(), "alpha", registrar.credential(alpha), wake);
    CHECK(eventually([&] { return after->connected(); }));
    CHECK(after->epoch() == 1);
    CHECK_FALSE(before->connected());
}

TEST_CASE("registrar: a topic stays allowed until its SUT goes, also for the supervisor's next life") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo");
    const auto file = folder.path() + "/agents.acl";
    Registrar first(folder.path(), folder.path());
    REQUIRE(first.ensure({{alpha, {"alpha/c3"}}, {bravo, {}}}));
    CHECK(text_of(file) == "user alpha\ntopic write alpha/c3\n");
    Registrar next(folder.path(), folder.path());
    REQUIRE(next.ensure({{alpha, {"alpha/web"}}, {bravo, {"bravo/c3"}}}));
    CHECK(text_of(file) == "user alpha\ntopic write alpha/c3\ntopic write alpha/web\nuser bravo\ntopic write bravo/c3\n");
    REQUIRE(next.forget(alpha));
    CHECK(text_of(file) == "user bravo\ntopic write bravo/c3\n");
}

TEST_CASE("registrar: the supervisor allows the probes that its confs name, whatever the engine does") {
    const test::TempFolder folder;
    REQUIRE(sys::write_file_atomic(folder.path() + "/alpha.conf", "probes:\n- {name: c3, url: 'http://device/'}\n", 0644, sys::Durability::fast));
    REQUIRE(sys::write_file_atomic(folder.path() + "/bravo.conf", "command: x\n", 0644, sys::Durability::fast));
    const auto line = "timeout 3 " SUPERVISOR " --conf-dir " + folder.path() + " --state-dir " + folder.path() + "/state --auth-dir " +
                      folder.path() + " --broker mqtt://127.0.0.1:1 --docker-host unix:///no/engine.sock >/dev/null 2>&1";
    CHECK(std::system(line.c_str()) != 0);
    CHECK(text_of(folder.path() + "/agents.acl") == "user alpha\ntopic write alpha/c3\n");
}

TEST_CASE("registrar: a new password is the broker's only when the agent has it, also for the supervisor's next life") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo");
    const auto file = folder.path() + "/agents.passwd";
    Registrar first(folder.path(), folder.path());
    REQUIRE(first.ensure({{alpha, {}}, {bravo, {}}}));
    const auto old = first.credential(alpha), lines = text_of(file);
    REQUIRE(first.rotate(alpha));
    const auto next = first.newest(alpha);
    CHECK(next != old);
    CHECK(first.credential(alpha) == old);
    CHECK(text_of(file) == lines);
    REQUIRE(first.delivered(alpha, old));  // one that was under way
    CHECK(first.rotating(alpha));
    Registrar second(folder.path(), folder.path());
    REQUIRE(second.ensure({{alpha, {}}, {bravo, {}}}));
    CHECK(second.rotating(alpha));
    CHECK_FALSE(second.rotating(bravo));
    REQUIRE(second.delivered(alpha, next));
    CHECK_FALSE(second.rotating(alpha));
    CHECK(second.credential(alpha) == next);
    Registrar third(folder.path(), folder.path());
    REQUIRE(third.ensure({{alpha, {}}, {bravo, {}}}));
    CHECK(third.credential(alpha) == next);
    CHECK_FALSE(third.rotating(alpha));
    CHECK_FALSE(third.rotate(*SutName::parse("charlie")));
}

TEST_CASE("registrar: the supervisor's next life keeps every user's line, also of a SUT that it does not know yet") {
    const test::TempFolder folder;
    const auto alpha = *SutName::parse("alpha"), bravo = *SutName::parse("bravo"), charlie = *SutName::parse("charlie");
    const auto file = folder.path() + "/agents.passwd";
    Registrar first(folder.path(), folder.path());
    REQUIRE(first.ensure({{alpha, {}}, {bravo, {}}}));
    const auto lines = text_of(file);
    Registrar second(folder.path(), folder.path());
    REQUIRE(second.ensure({{alpha, {}}}));
    CHECK(text_of(file) == lines);
    CHECK(second.credential(bravo) == first.credential(bravo));
    REQUIRE(second.ensure({{bravo, {}}, {charlie, {}}}));
    CHECK(text_of(file).starts_with(lines));
    REQUIRE(sys::write_file_atomic(folder.path() + "/credentials/alpha", "another", 0600, sys::Durability::fast));
    REQUIRE(::unlink((folder.path() + "/credentials/bravo").c_str()) == 0);
    Registrar third(folder.path(), folder.path());
    REQUIRE(third.ensure({}));
    CHECK(auth::password_is(text_of(file).substr(0, text_of(file).find('\n')), "another"));
    CHECK_FALSE(test::has(text_of(file), "bravo"));  // nobody has its password any more
    CHECK(test::has(text_of(file), "charlie"));
}

TEST_CASE("registrar: files that are lost are written again as they were") {
    const test::TempFolder folder;
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.ensure({{*SutName::parse("alpha"), {"alpha/c3"}}}));
    const auto users = text_of(folder.path() + "/agents.passwd");
    REQUIRE(std::system(("rm " + folder.path() + "/agents.*").c_str()) == 0);
    REQUIRE(registrar.restore());
    CHECK(text_of(folder.path() + "/agents.passwd") == users);
    CHECK(text_of(folder.path() + "/agents.acl") == "user alpha\ntopic write alpha/c3\n");
}

TEST_CASE("registrar: the supervisor's own password, and one whose change was cut off") {
    const test::TempFolder folder;
    const auto own = folder.path() + "/supervisor.password";
    REQUIRE(sys::write_file_atomic(own, "old", 0600, sys::Durability::fast));
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.finish_own(own));
    CHECK(text_of(own) == "old");
    REQUIRE(registrar.begin_own(own));
    CHECK(text_of(own) == "old");
    REQUIRE(registrar.finish_own(own));
    CHECK(text_of(own) != "old");
    CHECK(text_of(folder.path() + "/supervisor.passwd").starts_with("supervisor:$7$"));
    CHECK(test::has(text_of(folder.path() + "/supervisor.passwd"), "\nfleet:$7$"));
    REQUIRE(sys::write_file_atomic(own + ".next", "newer", 0600, sys::Durability::fast));
    REQUIRE(registrar.finish_own(own));
    CHECK(text_of(own) == "newer");
    CHECK(text_of(own + ".next").empty());
}

TEST_CASE("registrar: the console has another password each time, in one file of the broker's and one of its own") {
    const test::TempFolder folder;
    const auto file = folder.path() + "/console.passwd", settings = folder.path() + "/client.env";
    Registrar registrar(folder.path(), folder.path());
    std::set<std::string> had;
    for (int i = 0; i < 2; ++i) {
        REQUIRE(registrar.open_console(settings, "mqtt://broker:1883", i == 1));
        const auto text = text_of(settings);
        const std::string start = "SUTFLEET_BROKER=mqtt://broker:1883\nSUTFLEET_USER=console\nSUTFLEET_PASSWORD=";
        REQUIRE(text.starts_with(start));
        const auto password = text.substr(start.size(), 32);
        CHECK(text.substr(start.size() + 32) == (i == 1 ? "\nSUTFLEET_OPEN=1\n" : "\n"));
        CHECK(had.insert(password).second);
        CHECK(auth::user_of_line(text_of(file).substr(0, text_of(file).size() - 1)) == "console");
        CHECK(auth::password_is(text_of(file).substr(0, text_of(file).size() - 1), password));
    }
    const auto line = text_of(file);
    REQUIRE(::unlink(file.c_str()) == 0);
    REQUIRE(registrar.restore());
    CHECK(text_of(file) == line);
}

TEST_CASE("registrar: a person's line replaces that person's, and is nothing else") {
    const test::TempFolder folder;
    const auto file = folder.path() + "/people.passwd";
    const std::string console = "console:$7$101$AAAA$BBBB\n", viewer = "viewer:$7$101$CCCC$DDDD\n", changed = "operator:$7$101$EEEE$FFFF";
    REQUIRE(sys::write_file_atomic(file, "operator:$7$101$GGGG$HHHH\n" + console + viewer, 0640, sys::Durability::fast));
    Registrar registrar(folder.path(), folder.path());
    REQUIRE(registrar.set_person(changed));
    CHECK(text_of(file) == changed + "\n" + console + viewer);
    for (const std::string line : {"console:$7$101$EEEE$FFFF", "operator:plain", "operator:$7$101$EE\nx:$7$101$A$B", "operator:$7$101$E E$FFFF", "operator:$7$$EEEE$FFFF", ""})
        CHECK_FALSE(registrar.set_person(line));
    CHECK(text_of(file) == changed + "\n" + console + viewer);
}
