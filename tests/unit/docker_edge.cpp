#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "docker/docker_json.hpp"
#include "docker/tar_writer.hpp"

using namespace sutfleet;
using namespace sutfleet::docker;
using namespace std::chrono_literals;

TEST_CASE("an archive: header, content in blocks, end; nothing that leaves its folder") {
    const auto tar = write_tar({{VolumeEntry::Kind::folder, ".g1", {}, 0755, 7, 8},
                                    {VolumeEntry::Kind::file, ".g1/agent.json", "hello", 0400, 10001, 10001},
                                    {VolumeEntry::Kind::link, ".current", ".g1", 0777, 0, 0}});
    REQUIRE(tar);
    CHECK(tar->size() == (1 + 2 + 1 + 2) * 512);
    CHECK(tar->substr(0, 5) == ".g1/" + std::string(1, '\0'));
    CHECK(tar->substr(512, 14) == ".g1/agent.json");
    CHECK(tar->substr(512 + 100, 7) == "0000400");
    CHECK(tar->substr(512 + 257, 5) == "ustar");
    CHECK(tar->substr(1024, 5) == "hello");
    CHECK((*tar)[1536 + 156] == '2');
    for (const std::string bad : {"", "/etc/passwd", "..", "../x", "a/../../x", "a/.."})
        CHECK_FALSE(write_tar({{VolumeEntry::Kind::file, bad, "x"}}));
    CHECK_FALSE(write_tar({{VolumeEntry::Kind::file, std::string(120, 'a'), "x"}}));
}

TEST_CASE("an archive: the one file of an answer, and what is none") {
    const auto tar = write_tar({{VolumeEntry::Kind::file, "passwd", "root:x:0:0\n"}});
    REQUIRE(tar);
    CHECK(read_tar_file(*tar) == "root:x:0:0\n");
    CHECK(read_tar_file(tar->substr(0, 512 + 5)).error().kind == ErrorKind::invalid_input);
    CHECK(read_tar_file(tar->substr(0, 511)).error().kind == ErrorKind::invalid_input);
    CHECK(read_tar_file("").error().kind == ErrorKind::invalid_input);
    CHECK(read_tar_file(std::string(512, 'x')).error().kind == ErrorKind::not_found);
    CHECK(read_tar_file(*write_tar({{VolumeEntry::Kind::link, "passwd", "elsewhere"}})).error().kind == ErrorKind::not_found);
}

TEST_CASE("a container that is asked for is locked down") {
    AgentContainer wanted;
    wanted.name = wanted.hostname = "alpha";
    wanted.image = "image";
    wanted.network = "net";
    wanted.probe = {{"/probe"}, 10s, 10s, 1s, 2};
    const auto body = nlohmann::json::parse(encode_create(wanted, {1, 41}));
    CHECK(body["HostConfig"]["CapDrop"] == nlohmann::json({"ALL"}));
    CHECK(body["HostConfig"]["ReadonlyRootfs"] == true);
    CHECK(body["HostConfig"]["RestartPolicy"]["Name"] == "no");
    CHECK(body["HostConfig"]["SecurityOpt"] == nlohmann::json({"no-new-privileges"}));
    CHECK(body["StopSignal"] == "SIGTERM");
    CHECK(body["Healthcheck"]["Interval"] == 10'000'000'000);
    CHECK_FALSE(body["Healthcheck"].contains("StartInterval"));
    CHECK(nlohmann::json::parse(encode_create(wanted, {1, 44}))["Healthcheck"]["StartInterval"] == 1'000'000'000);
}

TEST_CASE("a mount is a folder of the host, or a volume by its name") {
    AgentContainer wanted;
    wanted.volumes = {{"own", "/own", true}};
    wanted.mounts = {{"/srv/images", "/images", false}, {"cache", "/cache", true}};
    const auto mounts = nlohmann::json::parse(encode_create(wanted, {1, 41}))["HostConfig"]["Mounts"];
    REQUIRE(mounts.size() == 3);
    CHECK(mounts[0] == nlohmann::json({{"Type", "volume"}, {"Source", "own"}, {"Target", "/own"}, {"ReadOnly", false}, {"VolumeOptions", {{"NoCopy", true}}}}));
    CHECK(mounts[1] == nlohmann::json({{"Type", "bind"}, {"Source", "/srv/images"}, {"Target", "/images"}, {"ReadOnly", true}}));
    CHECK(mounts[2] == nlohmann::json({{"Type", "volume"}, {"Source", "cache"}, {"Target", "/cache"}, {"ReadOnly", false}}));
}

TEST_CASE("an errand is run as root with what it needs, and no more") {
    const auto body = nlohmann::json::parse(encode_errand({"image", {{"l", "v"}}, {{"state", "/state", true}}, {"/program", "--own"}, {"CHOWN"}}));
    CHECK(body["User"] == "0:0");
    CHECK(body["Entrypoint"] == nlohmann::json({"/program", "--own"}));
    CHECK(body["HostConfig"]["CapDrop"] == nlohmann::json({"ALL"}));
    CHECK(body["HostConfig"]["CapAdd"] == nlohmann::json({"CHOWN"}));
    CHECK(body["HostConfig"]["NetworkMode"] == "none");
    CHECK(body["HostConfig"]["ReadonlyRootfs"] == true);
    CHECK(decode_wait(R"({"StatusCode":3})") == 3);
    CHECK_FALSE(decode_wait("{"));
}

TEST_CASE("answers of the engine, right and wrong") {
    const auto found = decode_container(R"({"Id":"1","Name":"/alpha","Config":{"Image":"i","Labels":{"io.sutfleet.sut":"alpha"}},
        "State":{"Status":"exited","ExitCode":137,"OOMKilled":true,"StartedAt":"t",
                 "Health":{"Status":"unhealthy","Log":[{"Output":"first"},{"Output":"why\nmore"}]}}})");
    REQUIRE(found);
    CHECK(found->name == "alpha");
    CHECK(found->sut == "alpha");
    CHECK(found->status == ContainerStatus::exited);
    CHECK(found->exit_code == 137);
    CHECK(found->health == EngineHealth::unhealthy);
    CHECK(found->health_log == "why");
    for (const auto* bad : {"", "{", "[]", "null", R"({"Id":1})", R"({"Id":"1","Config":{},"State":[]})"}) {
        CAPTURE(bad);
        CHECK_FALSE(decode_container(bad));
    }
    CHECK_FALSE(decode_list("{"));
    CHECK(decode_version(R"({"Version":"20.10","ApiVersion":"1.41","MinAPIVersion":"1.12"})")->newest == ApiVersion{1, 41});
    CHECK(text_member(R"({"message":"no such container"})", "message") == "no such container");
    CHECK(text_member("<html>", "message").empty());
}

TEST_CASE("a list of containers gives what it tells of each, and what is no list is an error") {
    const auto list = decode_summaries(R"j([
        {"Id":"1","Names":["/lab-alpha","/other/alias"],"Image":"i","Labels":{"io.sutfleet.stack":"lab","io.sutfleet.sut":"alpha",
         "io.sutfleet.config-hash":"h"},"State":"running","Status":"Up 2 hours (healthy)","Mounts":[{"Name":"x","Id":"no"}],"SizeRw":-1},
        {"Id":"2","Names":null,"Labels":{"io.sutfleet.sut":"bravo"},"State":"exited","Status":"Exited (137) 3 seconds ago"},
        {"Id":"3","State":"paused","Status":"Up 1 second (Paused)"}, {"Id":"4","State":"running","Status":"Up 1 second (health: starting)"}])j");
    REQUIRE(list);
    REQUIRE(list->size() == 4);
    CHECK((*list)[0].name == "lab-alpha");
    CHECK((*list)[0].stack == "lab");
    CHECK((*list)[0].sut == "alpha");
    CHECK((*list)[0].config_hash == "h");
    CHECK((*list)[0].health == EngineHealth::healthy);
    CHECK((*list)[0].summary);
    CHECK((*list)[1].status == ContainerStatus::exited);
    CHECK((*list)[1].exit_code == 137);
    CHECK((*list)[2].status == ContainerStatus::paused);
    CHECK((*list)[3].health == EngineHealth::starting);
    CHECK(decode_summaries("[]")->empty());
    for (const auto* bad : {"", "{", "{}", "null", "[1]", "[[]]", R"([{"Names":[]}])", R"([{"Id":"1"})"}) {
        CAPTURE(bad);
        CHECK_FALSE(decode_summaries(bad));
    }
}

TEST_CASE("an event names the SUT that it is about, none of ours, or nothing that can be known") {
    const auto change = decode_event(R"({"Actor":{"ID":"1","Attributes":{"io.sutfleet.sut":"alpha","name":"lab-alpha"}}})");
    REQUIRE(change);
    CHECK(change->sut == "alpha");
    CHECK(change->id == "1");
    CHECK_FALSE(decode_event(R"({"Actor":{"ID":"1","Attributes":{"io.sutfleet.role":"helper"}}})"));
    for (const auto* odd : {"", "{", "[]", "{}", R"({"Actor":[]})", R"({"Actor":{"Attributes":1}})"}) {
        CAPTURE(odd);
        REQUIRE(decode_event(odd));
        CHECK(decode_event(odd)->sut.empty());
    }
}

TEST_CASE("a framed stream is taken apart, also one that is cut off") {
    const std::string frame("\x01\0\0\0\0\0\0\x02hi", 10);
    CHECK(unframe(frame + frame) == "hihi");
    CHECK(unframe(frame + frame.substr(0, 9)) == "hih");
    CHECK(unframe("plain text") == "plain text");
}

TEST_CASE("an id that the engine gives becomes a part of paths: nothing else is taken for one") {
    CHECK(*made_id(R"({"Id":"0a1b"})") == "0a1b");
    for (const auto* bad : {"", "{}", R"({"Id":""})", R"({"Id":1})", R"({"Id":"a/../b"})", R"({"Id":"a?x=1"})", R"({"Id":"a\n"})"}) CHECK_FALSE(made_id(bad));
}
