#include <doctest/doctest.h>

#include <algorithm>

#include "conf/sut_conf_yaml.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

SutConf good(std::string_view text) {
    auto conf = decode_sut_conf(*SutName::parse("alpha"), text);
    if (!conf) {
        for (const auto& error : conf.error()) FAIL_CHECK(to_string("alpha.conf", error));
        return {};
    }
    return *std::move(conf);
}

/// The first error, as a user sees it.
std::string bad(std::string_view text) {
    const auto conf = decode_sut_conf(*SutName::parse("alpha"), text);
    return conf ? "accepted" : to_string("a.conf", conf.error().front());
}

}  // namespace

TEST_CASE("conf: {} is a conf with every default") {
    const auto conf = good("{}");
    CHECK(conf.enabled);
    CHECK(conf.agent.queues == std::vector<std::string>{"alpha"});
    CHECK(conf.agent.timeouts.job == 4h);
    CHECK(conf.agent.health.max_age == 20s);
    CHECK(conf.not_acted_on.empty());
}

TEST_CASE("conf: every key of the container and the agent") {
    const auto conf = good(R"(
description: a board
labels: {rack: 4}
enabled: false
command: [sleep, "10"]
restart: always
image: debian:bookworm-slim
queues: [board, lab-1]
phases: {setup: echo s, test: [sh, -c, 'echo t']}
timeouts: {job: 2h, output: 90, stop: 3s, queue: none}
health: {heartbeat: 1s, max_age: 4s, interval: auto, silence: 5m, on_unhealthy: none}
env: {A: 1, B_2: "two"}
jobs: {keep: 2d, max_bytes: 1.5g, protected: [provision, firmware_update]}
log: {max_bytes: 500k, keep: 9}
mounts:
  - {source: /srv/x, target: /data, mode: rw}
  - source: vol
    target: /other
devices: [/dev/ttyUSB0]
network: lab
resources: {memory: 512m, cpus: 1.5, pids: 100}
user: 1000:1000
cap_add: [NET_ADMIN]
)");
    CHECK(conf.labels.at("rack") == "4");
    CHECK_FALSE(conf.enabled);
    CHECK(conf.agent.command->argv == std::vector<std::string>{"sleep", "10"});
    CHECK(conf.agent.restart == RestartPolicy::always);
    CHECK(conf.agent.phases.at("setup").argv ==
          std::vector<std::string>{"/bin/sh", "-c", "echo s"});
    CHECK(conf.agent.jobs == JobRules{std::chrono::days{2}, 3LL << 29, {"provision", "firmware_update"}});
    CHECK(conf.agent.log == LogRules{500 * 1024, 9});
    CHECK(good("command: x\n").agent.log == LogRules{10 << 20, 5});
    CHECK(conf.agent.timeouts.output == 90s);
    CHECK_FALSE(conf.agent.timeouts.queue);
    CHECK_FALSE(conf.agent.health.interval);
    CHECK(conf.agent.health.silence == 5min);
    CHECK_FALSE(conf.agent.health.restart_on_unhealthy);
    CHECK(conf.agent.env.at("A") == "1");
    REQUIRE(conf.container.mounts.size() == 2);
    CHECK(conf.container.mounts[0] == Mount{"/srv/x", "/data", true});
    CHECK_FALSE(conf.container.mounts[1].writable);
    CHECK(conf.container.memory == 512LL * 1024 * 1024);
    CHECK(*conf.container.cpus == doctest::Approx(1.5));
    CHECK(conf.container.user == "1000:1000");
}

TEST_CASE("conf: JSON is accepted, a block text and CRLF too") {
    CHECK(good(R"({"command": "echo", "resources": {"pids": 5}})").container.pids == 5);
    CHECK(good("command: |\n  echo 1\n  echo 2\n").agent.command->argv[2] == "echo 1\necho 2\n");
    CHECK(good("description: x\r\ncommand: echo\r\n").description == "x");
}

TEST_CASE("conf: init, services, renew and probes") {
    const auto conf = good(R"(
init:
- {name: tools, run: [setup, --all]}
- {name: flash, run: echo flash}
services: [{name: sshd, command: /usr/sbin/sshd -D}]
renew: [{name: token, run: fetch, every: 1h}]
probes:
- {name: c3, url: 'http://device:8080/status?x=1', every: 1m, timeout: 5}
- {name: sshd, url: 'https://[::1]/'}
)");
    const auto& household = conf.agent.household;
    CHECK(conf.not_acted_on.empty());
    CHECK(household.init == std::vector<InitStep>{{"tools", {{"setup", "--all"}}}, {"flash", {{"/bin/sh", "-c", "echo flash"}}}});
    CHECK(household.services == std::vector<Service>{{"sshd", {{"/bin/sh", "-c", "/usr/sbin/sshd -D"}}}});
    CHECK(household.renewals == std::vector<Renewal>{{"token", {{"/bin/sh", "-c", "fetch"}}, 1h}});
    CHECK(household.probes == std::vector<Probe>{{"c3", "http://device:8080/status?x=1", 1min, 5s}, {"sshd", "https://[::1]/", 10min, 30s}});
}

TEST_CASE("conf: of one kind there are a hundred at most") {
    std::string text = "services:\n";
    for (int i = 0; i < 101; ++i) text += "- {name: s" + std::to_string(i) + ", command: x}\n";
    CHECK(bad(text).find("'services': expected at most 100 items") != std::string::npos);
}

TEST_CASE("conf: each broken rule says where and what was expected") {
    struct Case {
        std::string_view text;
        std::string_view error;
    };
    const Case cases[] = {
        {"", "a.conf:1:1: the file is empty"},
        {"# only a comment\n", "a.conf:1:1: the file is empty"},
        {"just words", "a.conf:1:1: expected `key: value` lines, found 'just words'"},
        {"- a\n- b\n", "a.conf:1:1: expected `key: value` lines, found a list"},
        {"command: [a\n", "a.conf:2:1: not YAML: "},
        {"a: b: c\n", "a.conf:1:5: not YAML: "},
        {"comand: x\n", "a.conf:1:1: 'comand': unknown key, did you mean 'command'?"},
        {"zzzzzz: x\n", "a.conf:1:1: 'zzzzzz': unknown key"},
        {"env: {A: 1}\nimage: x1\nenv: {B: 2}\n",
         "a.conf:3:1: 'env': duplicate key, it is already set in line 1"},
        {"env:\n  A: 1\n  A: 2\n", "a.conf:3:3: 'A': duplicate key, it is already set in line 2"},
        {"timeouts: {jobs: 1h}\n",
         "a.conf:1:12: 'timeouts.jobs': unknown key, did you mean 'job'?"},
        {"timeouts: {job: soon}\n",
         "a.conf:1:17: 'timeouts.job': expected a duration from 1ms to 365d, found 'soon'"},
        {"jobs: {max_bytes: much}\n", "a.conf:1:19: 'jobs.max_bytes': expected an amount such as 500m or 20g"},
        {"log: {max_bytes: 10}\n", "a.conf:1:18: 'log.max_bytes': expected an amount of 64k or more such as 500k or 10m, found '10'"},
        {"log: {keep: 0}\n", "a.conf:1:13: 'log.keep': expected a whole number from 1 to 100, found '0'"},
        {"log: {keep: 5, files: 2}\n", "a.conf:1:16: 'log.files': unknown key"},
        {"log: 10m\n", "a.conf:1:6: 'log': expected a map, found '10m'"},
        {"jobs: {protected: [test, tests]}\n", "a.conf:1:19: 'jobs.protected': expected names of phases, found 'tests'"},
        {"health: {heartbeat: 30s}\n", "a.conf:1:21: 'health.max_age': expected at least twice"},
        {"resources: {cpus: many}\n",
         "a.conf:1:19: 'resources.cpus': expected a number from 0.01 to 4096, found 'many'"},
        {"resources: {memory: 1k}\n", "a.conf:1:21: 'resources.memory': expected an amount"},
        {"enabled: yes\n", "a.conf:1:10: 'enabled': expected true or false, found 'yes'"},
        {"enabled: \"true\"\n", "a.conf:1:10: 'enabled': expected true or false"},
        {"restart: never\n",
         "a.conf:1:10: 'restart': expected always, on-failure or no, found 'never'"},
        {"command:\nimage: x1\n", "a.conf:1:1: 'command': expected a command"},
        {"command: []\n", "a.conf:1:10: 'command': expected a command"},
        {"queues: [Big_Queue]\n", "a.conf:1:10: 'queues': expected queue names"},
        {"phases: {tests: x}\n", "a.conf:1:10: 'phases.tests': unknown key, did you mean 'test'?"},
        {"env: {1A: x}\n",
         "a.conf:1:7: 'env': expected a name of letters, digits and '_', found '1A'"},
        {"mounts: [{source: /a, target: /sut/x}]\n",
         "a.conf:1:10: 'mounts[0].target': expected an absolute path"},
        {"mounts: [{source: /a}]\n", "a.conf:1:10: 'mounts[0].target' is missing"},
        {"devices: [/etc/passwd]\n", "a.conf:1:11: 'devices': expected paths such as /dev/ttyUSB0"},
        {"labels: {io.sutfleet.sut: x}\n", "a.conf:1:10: 'labels': expected names"},
        {"probes: [{name: state, url: 'http://x'}]\n",
         "a.conf:1:17: 'probes[0].name': expected a name that is not a topic"},
        {"probes: [{name: credential, url: 'http://x'}]\n", "a.conf:1:17: 'probes[0].name': expected a name that is not a topic"},
        {"probes: [{name: a/b, url: 'http://x'}]\n", "a.conf:1:17: 'probes[0].name': expected a name of letters"},
        {"probes: [{name: '+', url: 'http://x'}]\n", "a.conf:1:17: 'probes[0].name': expected a name of letters"},
        {"init: [{name: .., run: x}]\n", "a.conf:1:15: 'init[0].name': expected a name of letters"},
        {"init: [{name: '', run: x}]\n", "a.conf:1:15: 'init[0].name': expected a name of letters"},
        {"probes: [{name: a, url: 'file:///etc/passwd'}]\n", "a.conf:1:25: 'probes[0].url': expected an address that begins with http:// or https://"},
        {"probes: [{name: a, url: 'http://'}]\n", "a.conf:1:25: 'probes[0].url': expected an address"},
        {"probes: [{name: a, url: 'http://x y'}]\n", "a.conf:1:25: 'probes[0].url': expected an address"},
        {"probes: [{name: a, url: [x]}]\n", "a.conf:1:25: 'probes[0].url': expected a text, found a list"},
        {"probes: [{name: a, url: 'http://x', every: 0}]\n", "a.conf:1:44: 'probes[0].every': expected a duration from 1s to 365d"},
        {"services:\n- {name: a, command: x}\n- {name: a, command: y}\n",
         "a.conf:3:10: 'services[1].name': expected a name that no earlier item of the list has, found 'a'"},
        {"services: [{name: a}]\n", "a.conf:1:12: 'services[0].command' is missing"},
        {"services: {a: b}\n", "a.conf:1:11: 'services': expected a list of maps"},
        {"renew: [{name: a, run: x}]\n", "a.conf:1:9: 'renew[0].every' is missing"},
        {"init: [{name: a, run: x, evry: 1}]\n", "a.conf:1:26: 'init[0].evry': unknown key"},
        {"image: x1\ncontext: y1\n", "a.conf:2:10: 'context': expected either 'image' or 'context'"},
        {"a: &a [*a]\n", "a.conf:1:8: an alias of itself"},
        {"image: x1\n---\nimage: y1\n", "a.conf:2:1: a second document"},
        {"image: x\xff\n", "a.conf:1:9: not a text"},
        {"[a, b]: c\n", "a.conf:1:1: a key must be a word, found a list"},
    };
    for (const auto& each : cases) {
        CAPTURE(each.text);
        CHECK(bad(each.text).substr(0, each.error.size()) == each.error);
    }
}

TEST_CASE("conf: all broken rules are told at once, in the order of the file") {
    const auto conf =
        decode_sut_conf(*SutName::parse("alpha"), "enabled: 3\nimagee: x\nrestart: z\n");
    REQUIRE_FALSE(conf);
    REQUIRE(conf.error().size() == 3);
    CHECK(conf.error()[0].line == 1);
    CHECK(conf.error()[1].line == 2);
    CHECK(conf.error()[2].line == 3);
}

TEST_CASE("conf: too much of anything is an error, not a load") {
    CHECK(bad(std::string(k_conf_limit + 1, ' ')).find("too large") != std::string::npos);
    for (const auto* overlong : {"\xE0\x94\x96", "\xED\xA0\x80", "\xF4\x90\x80\x80"})
        CHECK(bad("description: " + std::string(overlong)).find("UTF-8") != std::string::npos);
    CHECK(bad("env: " + std::string(200, '[')).find("nested too deeply") != std::string::npos);
    std::string bomb = "a0: &a0 [x,x]\n";
    for (int i = 1; i < 60; ++i) {
        const auto n = std::to_string(i);
        const auto p = std::to_string(i - 1);
        bomb += "a" + n + ": &a" + n + " [*a" + p + ",*a" + p + "]\n";
    }
    CHECK(bad(bomb).find("unknown key") != std::string::npos);
}

TEST_CASE("conf: a testflinger-agent conf is accepted unchanged") {
    const auto conf = good(R"(
agent_id: charlie-1
identifier: 202101-1234
location: rack 3
polling_interval: 10
server_address: http://127.0.0.1:8000
execution_basedir: /tmp/testflinger/run
logging_basedir: /tmp/testflinger/logs
results_basedir: /tmp/testflinger/results
logging_level: INFO
logging_quiet: False
job_queues: [charlie, Dell_XPS.13]
advertised_queues: {charlie: a board}
advertised_images: {charlie: {core: "url: x"}}
links: {wiki: http://x}
provision_type: noprovision
global_timeout: 7200
output_timeout: 600
output_bytes: 10485760
setup_command: echo setup
provision_command: ""
test_command: sh $SUTFLEET_COMMAND_FILE
cleanup_command: echo cleanup
)");
    CHECK(conf.labels.at("agent_id") == "charlie-1");
    CHECK(conf.agent.queues == std::vector<std::string>{"charlie"});
    CHECK(conf.not_acted_on.size() == 1);
    CHECK(conf.agent.timeouts.job == 2h);
    CHECK(conf.agent.timeouts.output == 10min);
    CHECK(conf.agent.phases.size() == 3);
    CHECK(bad("phases: {test: a}\ntest_command: b\n").find("already set") != std::string::npos);
}

TEST_CASE("conf: a pattern that is none is refused where it stands") {
    const auto conf = good("health: {unhealthy_on: ['Kernel panic', '(?i)fatal'], clear_on: ['login: $']}");
    CHECK(conf.agent.health.unhealthy_on == std::vector<std::string>{"Kernel panic", "(?i)fatal"});
    CHECK(bad("health:\n  unhealthy_on:\n    - fine\n    - '(oops'\n") ==
          "a.conf:4:7: 'health.unhealthy_on': expected a regular expression (RE2): missing ): (oops, found '(oops'");
    CHECK(bad("health: {clear_on: ['x(?=y)']}").starts_with("a.conf:1:21: 'health.clear_on': expected a regular expression (RE2): "));
    CHECK(bad("health: {clear_on: []\n").starts_with("a.conf:"));
    CHECK(bad("health: {unhealthy_on: panic}") == "a.conf:1:24: 'health.unhealthy_on': expected a list of texts, found 'panic'");
    CHECK(bad("health: {unhealthy_on: ['" + std::string(1001, 'a') + "']}").starts_with("a.conf:1:25: 'health.unhealthy_on': expected a pattern of at most 1000 bytes"));
}
