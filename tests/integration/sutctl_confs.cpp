// sutctl's commands on confs: validate a lab's folder as it is, add, completion, doctor.

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

#include "conf_check.hpp"
#include "lab.hpp"
#include "sutctl_run.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using test::has;
using test::run;

namespace {

namespace fs = std::filesystem;

/// An agent's conf as labs have them, written by that program's own tools.
std::string agent_conf(const std::string& name) {
    const auto command = [&](const std::string& phase) {
        return phase + "_command: PYTHONIOENCODING=utf-8 PYTHONUNBUFFERED=1 snappy-device-agent  maas2\n  " + phase +
               " -c /data/testflinger/sut/" + name + "_snappy.yaml  testflinger.json\n";
    };
    return "agent_id: " + name + "\n" + command("allocate") + "execution_basedir: /data/tests/" + name +
           "/run\nglobal_timeout: 172800\njob_queues:\n- anything\n- " + name + "\n- 202301-31000\n- charmed_ceph\nlogging_basedir: /data/tests/" +
           name + "/logs\nlogging_level: INFO\noutput_timeout: 43200\n" + command("provision") + command("reserve") +
           "results_basedir: /data/tests/" + name + "/results\nserver_address: https://testflinger.example.com:443\nsetup_command: echo Setup\n" +
           command("test") + "identifier: 202301-31000\nprovision_type: maas2\n";
}

const std::string k_connector = "agent_name: x\ndefault_disks:\n- id: '360'\n  name: disk0\n  ptable: GPT\n  type: disk\n- device: '39280'\n  id: disk0-part1\ndevice_ip: 192.0.2.96\nenv:\n  DEVICE_IP: 192.0.2.96\nnode_id: 6nys3b\n";

void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << text;
}

/// A lab's folder: SUTs with companions, and all that gathers in such a folder.
std::map<std::string, std::string> lab_files() {
    return {{"gravel.conf", agent_conf("gravel")},
            {"gravel.yaml", "job_queue: gravel\nprovision_data:\n distro: focal\ntest_data:\n test_cmds: |\n  ssh ubuntu@192.0.2.96 ifconfig\n"},
            {"gravel_snappy.yaml", k_connector},
            {"kvm-small-7.conf", agent_conf("kvm-small-7")},
            {"kvm-small-7_snappy.yaml", k_connector},
            {"moved.conf", agent_conf("elsewhere")},
            {"mounted.conf", agent_conf("mounted") + "mounts:\n- source: /srv/lab\n  target: /data/testflinger/sut\n"},
            {"mounted_snappy.yaml", k_connector},
            {"typo.conf", agent_conf("typo") + "provison_type: maas2\n"},
            {"tab.conf", "agent_id: tab\njob_queues:\n\t- tab\n"},
            {"Blue_Box.conf", agent_conf("Blue_Box")},
            {"Blue_Box_snappy.yaml", k_connector},
            {"broken.conf", agent_conf("broken")},
            {"broken_snappy.yaml", "a: [1, 2\nb: }\n"},
            {"lonely_snappy.yaml", k_connector},
            {"forgotten.yaml", agent_conf("forgotten")},
            {"README.md", "# our lab\n"},
            {"agent/old.conf", agent_conf("old")},
            {"agent/deeper/older.conf", agent_conf("older")},
            {".git/HEAD", "ref: refs/heads/main\n"},
            {".gravel.conf.swp", "b0VIM 8.2"},
            {"gravel.conf~", "x"}};
}

bool reports(const std::string& folder, const std::string& file, const std::string& text) {
    return std::ranges::any_of(ctl::check_folder(folder), [&](const ctl::CheckedFile& each) {
        if (each.path != folder + "/" + file) return false;
        auto all = each.errors;
        all.insert(all.end(), each.warnings.begin(), each.warnings.end());
        return std::ranges::any_of(all, [&](const ctl::Finding& finding) { return has(to_text(file, finding), text); });
    });
}

test::Environment folder_environment(const std::string& folder) { return {{"SUTFLEET_SUT_DIR", folder}}; }

}  // namespace

TEST_CASE("sutctl validate: a lab's folder as it is; what would not run is told by file and line with what to do, the rest runs") {
    test::PrivateBroker broker;
    const test::BlindSupervisor supervisor(SUPERVISOR, broker.url(), lab_files(), {{"SUTFLEET_ALLOW_MOUNTS", "/srv/lab"}});
    const auto& folder = supervisor.folder();
    const auto all = run({SUTCTL, "validate", folder});
    CAPTURE(all.out);
    CHECK(all.exit == 1);
    CHECK(has(all.out, "/gravel.conf: ok\n"));
    CHECK(has(all.out, "/kvm-small-7.conf: ok\n"));
    CHECK(has(all.out, "5 of 8 confs are right"));
    CHECK_FALSE(has(all.out, ".swp"));
    CHECK_FALSE(has(all.out, "gravel.yaml"));
    CHECK(reports(folder, "typo.conf", "typo.conf:25:1: 'provison_type': unknown key, did you mean 'provision_type'?"));
    CHECK(reports(folder, "tab.conf", "tab.conf:3:2: not YAML: a tab in the indentation"));
    CHECK(reports(folder, "Blue_Box.conf", "call it blue-box.conf"));
    CHECK(reports(folder, "gravel.conf", "gravel.conf:2:1: the agent has no /data/testflinger/sut/gravel_snappy.yaml: write /sut/gravel_snappy.yaml"));
    CHECK_FALSE(reports(folder, "mounted.conf", "the agent has no"));
    CHECK(reports(folder, "gravel.conf", "gravel.conf:10:3: 'charmed_ceph' in 'job_queues' is no queue's name here"));
    CHECK(reports(folder, "moved.conf", "moved.conf:1:11: 'agent_id' is 'elsewhere'"));
    CHECK(reports(folder, "broken_snappy.yaml", "broken_snappy.yaml:2:"));
    CHECK(reports(folder, "lonely_snappy.yaml", "there is no lonely.conf"));
    CHECK(reports(folder, "forgotten.yaml", "forgotten.yaml:1:1: looks like a conf and is not used as one: call it forgotten.conf"));
    CHECK(reports(folder, "agent/", "2 confs in it do not run"));

    // What the host does not give is wrong, where it is known what it gives.
    CHECK(has(run({SUTCTL, "validate", folder}, {{"SUTFLEET_ALLOW_MOUNTS", ""}, {"SUTFLEET_STACK", "lab"}}).out, "/mounted.conf:26:11: 'mounts': expected a path that SUTFLEET_ALLOW_MOUNTS has (now: none), found '/srv/lab'"));
    CHECK(has(run({SUTCTL, "validate", folder}, {{"SUTFLEET_ALLOW_MOUNTS", "/srv/lab"}, {"SUTFLEET_STACK", "lab"}}).out, "/mounted.conf: ok"));

    // What validate calls right is what the supervisor takes, and nothing else.
    for (const auto* good : {"gravel", "kvm-small-7", "moved", "mounted", "broken"})
        CHECK_MESSAGE(test::eventually([&] { return has(test::sutctl(broker.url(), "describe --json " + std::string(good)).out, R"("wanted":"running")"); }), good);
    for (const auto* bad : {"typo", "tab"})
        CHECK(has(test::sutctl(broker.url(), "describe --json " + std::string(bad)).out, R"("wanted":"error")"));
    CHECK(test::sutctl(broker.url(), "describe forgotten").exit == 4);
    CHECK(test::sutctl(broker.url(), "describe old").exit == 4);
}

TEST_CASE("sutctl validate: files, folders, nothing, and too much") {
    const test::TempFolder folder;
    const auto at = [&](const std::string& name) { return folder.path() + "/" + name; };
    CHECK(run({SUTCTL, "validate", folder.path()}).exit == 2);
    CHECK(run({SUTCTL, "validate", at("none")}).exit == 1);
    CHECK(run({SUTCTL, "validate"}, folder_environment(at("none"))).exit == 1);
    write(at("big.conf"), "description: x\n");
    write(at("big_image.bin"), std::string(2 * 1024 * 1024, 'x'));
    CHECK(reports(folder.path(), "big_image.bin", "larger than 1 MiB"));
    for (int i = 0; i < 9; ++i) write(at("big_part" + std::to_string(i)), std::string(1024 * 1024, 'x'));
    CHECK(reports(folder.path(), "big.conf", "larger than 8 MiB together"));
    fs::create_directory(at("dir.conf"));
    fs::create_symlink("nowhere", at("link.conf"));
    const auto odd = run({SUTCTL, "validate", "--json"}, folder_environment(folder.path()));
    CHECK(odd.exit == 1);
    CHECK(has(odd.out, R"(dir.conf","conf":true,"ok":false)"));
    CHECK(has(odd.out, R"(link.conf","conf":true,"ok":false)"));
    CHECK(run({SUTCTL, "validate", SOURCE_FOLDER "/sut"}).exit == 0);

    std::string bomb = "advertised_images:\n  a0: &a0 {}\n";  // aliases make it a tree of 2^100 nodes
    for (int i = 1; i < 100; ++i) {
        const auto last = std::to_string(i - 1), self = std::to_string(i);
        bomb += "  a" + self + ": &a" + self + " {x: *a" + last + ", y: *a" + last + "}\n";
    }
    write(at("bomb.conf"), bomb);
    write(at("bomb_x.yaml"), bomb);
    CHECK(has(run({SUTCTL, "validate", folder.path()}).out, "/bomb.conf: ok\n"));
}

TEST_CASE("sutctl validate: any bytes under any name are told of, and no crash") {
    std::mt19937 random(7);
    const auto number = [&](std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random); };
    const std::vector<std::string> names{"a1.conf", "a1.yaml", "a1_b.yaml", "A.conf", "x..conf", "_.conf", ".conf", "b2", "-.yaml", "b2_.yml", "\xff.conf", "a1.conf.conf"};
    const auto whole = agent_conf("a1");
    for (int round = 0; round < 60; ++round) {
        const test::TempFolder folder;
        for (const auto& name : names) {
            auto text = whole.substr(0, number(whole.size()));
            for (std::size_t i = number(6); i > 0 && !text.empty(); --i) text[number(text.size())] = static_cast<char>(number(256));
            write(folder.path() + "/" + name, text);
        }
        CHECK(ctl::check_folder(folder.path()).size() >= 8);
    }
}

TEST_CASE("sutctl add: a conf from a template, checked, and never over another") {
    const test::TempFolder folder;
    const auto environment = folder_environment(folder.path());
    const auto add = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {SUTCTL, "add"});
        return run(words, environment);
    };
    const auto made = add({"rpi4", "--from", "ssh", "host=192.0.2.7", "image=lab/ssh:1", "description=rack #4"});
    CAPTURE(made.out);
    CHECK(made.exit == 0);
    CHECK(made.out == folder.path() + "/rpi4.conf\n");
    const auto text = sys::read_file(folder.path() + "/rpi4.conf", 4096).value_or("");
    CHECK(has(text, "ubuntu@192.0.2.7"));
    CHECK(has(text, "description: 'rack #4'"));
    CHECK(run({SUTCTL, "validate"}, environment).exit == 0);
    const auto again = add({"rpi4"});
    CHECK(again.exit == 4);
    CHECK(has(again.out, "is there already"));
    CHECK(sys::read_file(folder.path() + "/rpi4.conf", 4096).value_or("") == text);
    CHECK(add({"plain"}).exit == 0);

    CHECK(add({"Bad_Name"}).exit == 2);
    CHECK(has(add({"rpi5", "--from", "ssh"}).out, "expected host=… image=…"));
    CHECK(has(add({"rpi5", "hots=x"}).out, "no key 'hots'"));
    CHECK(has(add({"rpi5", "--from", "none"}).out, "testflinger:"));
    const auto wrong = add({"rpi5", "job_timeout=soon"});
    CHECK(wrong.exit == 2);
    CHECK(has(wrong.out, "rpi5.conf:4:8: 'timeouts.job': expected a duration"));
    CHECK(add({"rpi5", "--dry-run"}).exit == 0);
    CHECK_FALSE(fs::exists(folder.path() + "/rpi5.conf"));
    write(folder.path() + "/templates/ours.conf", "# template: ours\ndescription: {{d}} on {{name}}\n");
    CHECK(has(add({"rpi6", "--from", "ours", "d=x", "--dry-run"}).out, "x on rpi6"));
    CHECK(has(add({"rpi6", "--from", folder.path() + "/templates/ours.conf", "d=x", "--dry-run"}).out, "x on rpi6"));
    CHECK(run({SUTCTL, "add", "rpi6"}, folder_environment(folder.path() + "/none")).exit == 2);
    for (const auto& entry : fs::directory_iterator(folder.path())) CHECK_FALSE(entry.path().filename().string().starts_with('.'));
}

TEST_CASE("sutctl completion: bash knows commands, options, SUTs of the folder and of the broker, templates") {
    test::Lab lab(AGENT_ENTRY);
    const test::TempFolder folder;
    write(folder.path() + "/bravo.conf", "{}");
    write(folder.path() + "/Bad.conf", "{}");
    auto environment = test::sutctl_environment(lab.broker.url());
    environment.emplace_back("SUTFLEET_SUT_DIR", folder.path());
    const auto complete = [&](const std::string& line) {
        const auto script = "eval \"$('" SUTCTL "' completion bash)\"; read -ra COMP_WORDS <<<'" SUTCTL " " + line +
                            "'; [[ '" + line + "' != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sutctl; echo \"${COMPREPLY[*]}\"";
        return run({"/bin/bash", "-c", script}, environment).out;
    };
    CHECK(complete("des") == "describe\n");
    CHECK(complete("describe ") == "alpha bravo\n");
    CHECK(complete("logs --tail 5 b") == "bravo\n");
    CHECK(complete("--color never describe a") == "alpha\n");
    CHECK(complete("submit alpha ") == "\n");
    CHECK(complete("submit --wa") == "--wait\n");
    CHECK(complete("logs alpha --f") == "--follow\n");
    CHECK(complete("--color a") == "auto always\n");
    CHECK(complete("add --from te") == "testflinger\n");
    CHECK(complete("completion z") == "zsh\n");
    CHECK(run({SUTCTL, "completion", "csh"}).exit == 2);
}

TEST_CASE("sutctl doctor: nothing is there, and each check says so and what to do") {
    const test::TempFolder folder;
    const auto env_file = folder.path() + "/none.env";
    const test::Environment nothing{{"DOCKER_HOST", "unix://" + folder.path() + "/none.sock"}, {"SUTFLEET_PASSWORD", ""},
                                    {"SUTFLEET_ENV_FILE", env_file}, {"SUTFLEET_SUT_DIR", folder.path() + "/none"}};
    const auto ran = run({SUTCTL, "doctor"}, nothing, folder.path());
    CAPTURE(ran.out);
    CHECK(ran.exit == 1);
    CHECK(has(ran.out, "fail  socket      " + folder.path() + "/none.sock: No such file or directory  -> start the engine"));
    CHECK(has(ran.out, "fail  settings    cannot read the broker's settings"));
    CHECK(has(ran.out, "disk        "));
    CHECK(has(ran.out, "warn  confs       "));
}

TEST_CASE("sutctl doctor: a broker that is away, one that refuses, a supervisor that is there") {
    const test::TempFolder folder;
    write(folder.path() + "/alpha.conf", "description: x\n");
    const auto doctor = [&](const std::string& url) {
        auto environment = test::sutctl_environment(url);
        environment.emplace_back("DOCKER_HOST", "unix://" + folder.path() + "/none.sock");
        environment.emplace_back("SUTFLEET_SUT_DIR", folder.path());
        return run({SUTCTL, "doctor", "--json"}, environment);
    };
    CHECK(has(doctor(test::k_nowhere).out, R"({"check":"broker","grade":"fail","what":"cannot reach the broker)"));
    {
        const test::TempFolder users;
        write(users.path() + "/users", "");
        REQUIRE(::chmod(users.path().c_str(), 0755) == 0);
        test::PrivateBroker closed("allow_anonymous false\npassword_file " + users.path() + "/users\n");
        const auto refused = doctor(closed.url());
        CHECK_MESSAGE(has(refused.out, R"({"check":"credentials","grade":"fail")"), refused.out);
        CHECK(has(refused.out, R"({"check":"broker","grade":"ok")"));
    }
    test::PrivateBroker broker;
    CHECK(has(doctor(broker.url()).out, R"({"check":"supervisor","grade":"fail","what":"is not there")"));
    const test::BlindSupervisor supervisor(SUPERVISOR, broker.url(), {{"bravo.conf", "comand: x\n"}});
    REQUIRE(test::eventually([&] { return has(doctor(broker.url()).out, R"({"check":"supervisor","grade":"ok","what":"is online")"); }));
    const auto there = doctor(broker.url());
    CAPTURE(there.out);
    CHECK(has(there.out, R"({"check":"clocks","grade":"ok","what":"the supervisor has the time of this machine")"));
    CHECK(has(there.out, "has no engine: "));
    CHECK(has(there.out, R"("1 of 1 are not: bravo","todo":"sutctl ps, then sutctl describe bravo")"));
    CHECK(has(there.out, R"({"check":"confs","grade":"ok","what":"1 confs in )"));
    CHECK(there.exit == 1);
}

TEST_CASE("sutctl doctor: no rights on the socket are told apart from no engine") {
    if (::geteuid() != 0) return;  // only root can become somebody without rights; the gate runs as root
    const test::TempFolder folder;
    REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
    const auto path = folder.path() + "/engine.sock";
    const auto server = run({"/usr/bin/python3", "-c", "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])", path});
    REQUIRE(server.exit == 0);
    const test::Environment environment{{"DOCKER_HOST", "unix://" + path}, {"SUTFLEET_ENV_FILE", folder.path() + "/none"}};
    CHECK(has(run({SUTCTL, "doctor"}, environment, folder.path()).out, "Connection refused  -> start the engine"));
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    const auto ran = run({"/usr/bin/setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", SUTCTL, "doctor"}, environment, "/");
    CHECK_MESSAGE(has(ran.out, "fail  rights      " + path + ": Permission denied  -> use sudo"), ran.out);
}
