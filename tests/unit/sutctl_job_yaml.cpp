#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "job/submit_request.hpp"
#include "job_source.hpp"
#include "job_yaml.hpp"

using namespace sutfleet;
using namespace sutfleet::ctl;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

std::string sample(const std::string& name) {
    return std::string(SOURCE_FOLDER) + "/tests/unit/jobs/" + name;
}

json read(const std::string& name) {
    Options options;
    options.file = sample(name);
    const auto job = submitted_text(options);
    REQUIRE(job);
    return json::parse(*job);
}

}  // namespace

TEST_CASE("job files: a MAAS job keeps its script and its disks") {
    const auto job = read("maas.yaml");
    CHECK(job["test_data"]["test_cmds"] ==
          "set -e\nssh -t ubuntu@$DEVICE_IP \"uname -a; cat <<-EOS\n\ta tab is kept\nEOS\"\n\n"
          "# an empty line and a comment are the script's own\n"
          "scp ubuntu@$DEVICE_IP:/var/log/syslog artifacts/\n");
    CHECK(job["provision_data"] == json::parse(R"({"distro":"noble","kernel":"ga-24.04",
        "ephemeral":true,"disks":[{"id":"disk0","disk":0,"type":"disk","ptable":"gpt"},
        {"id":"root","device":"disk0","type":"partition","number":1,"size":"20G"}]})"));
    CHECK(job["tags"] == json::parse(R"(["nightly","24.04"])"));
    const auto asked = decode_submit(job.dump());
    REQUIRE(asked);
    CHECK(asked->timeout == 4h);
    CHECK(asked->output_timeout == 15min);
    CHECK(asked->phases == std::set<std::string>{"provision"});
    CHECK(asked->command == job["test_data"]["test_cmds"]);
}

TEST_CASE("job files: an image job with a list of commands and a reservation") {
    const auto job = read("image.yml");
    CHECK(job == json::parse(R"({"job_queue":"rpi4-01",
        "provision_data":{"url":
          "https://images.example.org/noble/ubuntu-24.04-preinstalled-server-arm64+raspi.img.xz",
          "media":"sd","create_user":true},
        "firmware_update_data":{"version":1.1,"rollback":false,"ignore_failure":false},
        "test_data":{"test_cmds":["echo \"one:two\"","true","folded into one line"]},
        "allocate_data":{},
        "reserve_data":{"ssh_keys":["lp:someone","gh:someone-else"],"timeout":21600},
        "job_priority":100,"allocation_timeout":7200,"exclude_agents":[]})"));
    CHECK(decode_submit(job.dump())->command == "echo \"one:two\"\ntrue\nfolded into one line\n");
}

TEST_CASE("job files: a plain value has its type, a quoted one and all else is a text") {
    const auto job = read("nothing_to_provision.yaml");
    CHECK(job["provision_data"].is_null());
    CHECK(job["context"]["numbers"] ==
          json::parse(R"([0,-3,2.5,1000.0,"1e3","12e4567","0644","0x1F","1_000",
                          "12345678901234567890123",18446744073709551615])"));
    CHECK(job["context"]["texts"] ==
          json::parse(R"(["1","true","7","2024-01-31","10:20:30:40:50:60",".5","+1",
                          "null and void"])"));
    CHECK(job["context"]["nulls"] == json::parse(R"([null,null,null,"null"])"));
    CHECK(decode_submit(job.dump())->phases.empty());
}

TEST_CASE("job files: JSON in one is YAML too") {
    CHECK(*job_of_yaml("{\"test_data\": {\"test_cmds\": \"a\\/b\\n\"}}\n") ==
          R"({"test_data":{"test_cmds":"a/b\n"}})");
}

TEST_CASE("job files: what is wrong is told with its place, before anything is sent") {
    const struct {
        const char* text;
        const char* error;
    } rows[] = {
        {"", "j:1:1: the file is empty: expected keys such as 'job_queue'"},
        {"# nothing\n", "j:1:1: the file is empty"},
        {"echo hello\n", "j:1:1: expected `key: value` lines, found 'echo hello'"},
        {"- a\n- b\n", "j:1:1: expected `key: value` lines, found a list"},
        {"job_queue: a\ntest_dta: {}\n", "j:2:1: unknown key 'test_dta'"},
        {"job_queue: a\njob_queue: b\n",
         "j:2:1: 'job_queue': duplicate key, it is already set in line 1"},
        {"test_data:\n  test_cmds: a\n  test_cmds: b\n", "j:3:3: 'test_cmds': duplicate key"},
        {"test_data:\n  test_cmds: 7\n", "j:2:3: 'test_cmds' must be a text or a list of texts"},
        {"test_data:\n  test_cmds: [ls, true]\n", "j:2:3: 'test_cmds' must be a text or a list"},
        {"job_queue: a\nglobal_timeout: soon\n", "j:2:1: global_timeout: 'soon' is not a duration"},
        {"job_queue: a\nglobal_timeout:\n", "j:2:1: global_timeout: 'null' is not a duration"},
        {"id: 7\ncommand: ls\n", "j:1:1: 'id' must be a text"},
        {"env: {DEBUG: 1}\ncommand: ls\n", "j:1:7: 'env' must be an object of strings"},
        {"provision_data: &p {a: 1}\nreserve_data: *p\n", "j:1:17: an anchor: expected"},
        {"provision_data:\n\turl: x\n",
         "j:2:5: not YAML: a tab in the indentation: expected spaces"},
        {"job_queue: a\nname: \"\xff\"\n", "j:2:8: not a text: expected UTF-8"},
        {"job_queue: a\nname: \"a\\0b\"\n", "j:2:7: a text with a NUL character"},
        {"job_queue: a\nname: \"a\\Nb\"\n",
         "j:2:7: a text with the escape \\N or \\_: expected \\x85"},
        {"job_queue: a\n---\njob_queue: b\n", "j:2:1: a second document: expected only one"},
        {"job_queue: [a\n", "j:2:1: not YAML"},
        {"command: a\ntest_data:\n  attachments:\n    - local: x\n      agent: x\n",
         "j:3:3: 'test_data.attachments': files cannot be sent along"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto job = job_of_yaml(row.text);
        REQUIRE_FALSE(job);
        const auto first = to_string("j", job.error().front());
        CAPTURE(first);
        CHECK(first.starts_with(row.error));
    }
    CHECK(job_of_yaml("test_data: {attachments: [], test_cmds: ls}"));
    CHECK(job_of_yaml("comand: a\nname: b\ntimeuot: 1\n").error().size() == 2);
}

TEST_CASE("job files: only their name makes them YAML; all the errors are shown") {
    Options options;
    options.file = sample("nosuch.yaml");
    CHECK(submitted_text(options).error().exit == 2);
    options.file = std::string(SOURCE_FOLDER) + "/tools/up";
    CHECK(submitted_text(options)->starts_with("#!"));
    options.file = std::string(SOURCE_FOLDER) + "/.clang-format";
    CHECK(submitted_text(options)->starts_with("BasedOnStyle: "));
    options.file = sample("wrong.yaml");
    const auto wrong = submitted_text(options);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().exit == 2);
    CHECK(wrong.error().message == options.file +
                                       ":3:3: 'test_cmds' must be a text or a list of texts\n" +
                                       options.file + ":5:1: unknown key 'provision'");
}
