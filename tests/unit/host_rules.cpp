// What a conf may ask of the host.
#include <doctest/doctest.h>

#include "conf/sut_conf_yaml.hpp"
#include "core/host_rules.hpp"

using namespace sutfleet;

namespace {

HostRules rules(const AllowLists& lists = {}) {
    auto out = parse_host_rules(lists);
    REQUIRE(out);
    out->stack = "lab";
    out->network = "lab-bus";
    out->agent_image = "sutfleet/agent:latest";
    return *std::move(out);
}

/// ok, or what was expected.
std::string said(const std::string& refusal) { return refusal.empty() ? "ok" : refusal; }

}  // namespace

TEST_CASE("host rules: mounts") {
    const auto some = rules({"/srv/lab, /srv/out=rw,/srv/lab/private=rw,/media/*,db_data,cache-?", "", "", ""});
    struct Row {
        Mount mount;
        std::string answer;
    };
    const Row rows[] = {
        {{"/srv/lab", "/x", false}, "ok"},
        {{"/srv/lab/a/b", "/x", false}, "ok"},
        {{"/srv/laboratory", "/x", false}, "expected a path that SUTFLEET_ALLOW_MOUNTS has"},
        {{"/srv", "/x", false}, "expected a path that"},
        {{"/srv/lab", "/x", true}, "expected mode ro, or '/srv/lab=rw'"},
        {{"/srv/out", "/x", true}, "ok"},
        {{"/srv/out", "/x", false}, "ok"},
        // An agent may have put a link there.
        {{"/srv/out/link", "/x", false}, "expected '/srv/out' itself"},
        {{"/srv/out/link", "/x", true}, "expected '/srv/out' itself"},
        {{"/srv/lab/private/link", "/x", false}, "expected '/srv/lab/private' itself"},
        {{"/media/usb", "/x", false}, "ok"},
        {{"/media/usb/deep", "/x", false}, "ok"},
        {{"/media", "/x", false}, "expected a path that"},
        {{"/srv/lab/../../etc", "/x", false}, "expected an absolute path without"},
        {{"/srv/lab/./x", "/x", false}, "expected an absolute path without"},
        {{"/srv//lab", "/x", false}, "expected an absolute path without"},
        {{"/srv/lab/", "/x", false}, "expected an absolute path without"},
        {{"/", "/x", false}, "expected an absolute path without"},
        {{"db_data", "/x", true}, "ok"},
        {{"db_data2", "/x", true}, "expected a volume called 'lab-…'"},
        {{"cache-1", "/x", true}, "ok"},
        {{"lab-shared", "/x", true}, "ok"},
        {{"other-shared", "/x", true}, "expected a volume called 'lab-…'"},
        {{"lab-auth", "/x", false}, "expected a volume that is not the fleet's own"},
        {{"lab-supervisor-state", "/x", false}, "expected a volume that is not the fleet's own"},
        {{"lab-bravo-state", "/x", false}, "expected a volume that is not the fleet's own"},
        {{"lab-bravo-conf", "/x", false}, "expected a volume that is not the fleet's own"},
        {{"lab-bravo-secrets", "/x", false}, "expected a volume that is not the fleet's own"},
        {{"lab-programs-0123", "/x", true}, "expected a volume that is not the fleet's own"},
        {{"lab-2-auth", "/x", false}, "expected a volume that is not the fleet's own"},
    };
    for (const auto& [mount, answer] : rows) {
        CAPTURE(mount.source);
        CHECK(said(some.refuse_mount(mount)).starts_with(answer));
    }
    CHECK(said(rules().refuse_mount({"/srv/lab", "/x", false})) == "expected a path that SUTFLEET_ALLOW_MOUNTS has (now: none)");
}

TEST_CASE("host rules: no list gives the engine away") {
    const auto all = rules({"/*,/*/*,/*/*/*,/var/run/docker.sock=rw", "", "", ""});
    for (const auto* path : {"/var/run/docker.sock", "/run/docker.sock", "/var/run", "/run", "/var", "/var/lib/docker", "/var/lib/docker/volumes/x",
                             "/proc", "/proc/1/root", "/sys/kernel", "/run/containerd/containerd.sock"}) {
        CAPTURE(path);
        CHECK(said(all.refuse_mount({path, "/x", false})).starts_with("expected a path without the engine's"));
    }
    CHECK(said(all.refuse_mount({"/etc", "/x", false})) == "ok");  // that is what the owner allowed
}

TEST_CASE("host rules: devices, images, capabilities, networks") {
    const auto some = rules({"/dev/ttyUSB*,/dev/serial", "registry.lab/*,debian:*", "CAP_NET_ADMIN,NET_RAW", "lab-net*"});
    CHECK(said(some.refuse_device("/dev/ttyUSB0")) == "ok");
    CHECK(said(some.refuse_device("/dev/serial/by-id/x")) == "ok");
    for (const auto* path : {"/dev/sda", "/dev/ttyS0", "/dev/serial/../mem", "/dev/mem", "/dev", "/dev/ttyUS"}) {
        CAPTURE(path);
        CHECK(said(some.refuse_device(path)) != "ok");
    }
    CHECK(said(rules().refuse_device("/dev/ttyUSB0")) == "expected a device that SUTFLEET_ALLOW_MOUNTS has (now: none)");
    for (const auto* image : {"registry.lab/a/b:1", "debian:bookworm-slim", "sutfleet/agent:latest"}) CHECK(said(some.refuse_image(image)) == "ok");
    for (const auto* image : {"debian", "evil/registry.lab/x", "registry.labs/x", "sutfleet/agent:other"}) CHECK(said(some.refuse_image(image)) != "ok");
    CHECK(said(rules().refuse_image("anything")) == "ok");
    for (const auto* cap : {"CHOWN", "CAP_SYS_CHROOT", "NET_ADMIN", "CAP_NET_RAW"}) CHECK(said(some.refuse_cap(cap)) == "ok");
    for (const auto* cap : {"ALL", "CAP_ALL", "SYS_ADMIN", "CAP_SYS_ADMIN", "DAC_READ_SEARCH", "MKNOD", "SYS_MODULE"}) CHECK(said(some.refuse_cap(cap)) != "ok");
    CHECK(said(rules().refuse_cap("NET_RAW")) != "ok");
    for (const auto* name : {"none", "lab-bus", "lab-net2"}) CHECK(said(some.refuse_network(name)) == "ok");
    for (const auto* name : {"host", "container:broker", "bridge", "other-bus"}) CHECK(said(some.refuse_network(name)) != "ok");
    CHECK(said(rules({"", "", "", "*"}).refuse_network("host")) != "ok");
}

TEST_CASE("host rules: a list that is wrong is named, not guessed at") {
    for (const AllowLists& bad : {AllowLists{"srv/lab", "", "", ""}, AllowLists{"/srv/../etc", "", "", ""}, AllowLists{"/", "", "", ""},
                                  AllowLists{"volume=rw", "", "", ""}}) {
        const auto parsed = parse_host_rules(bad);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().message.starts_with("SUTFLEET_ALLOW_MOUNTS: expected"));
    }
    for (const auto* caps : {"ALL", "net_admin", "NET-ADMIN"}) {
        const auto parsed = parse_host_rules({"", "", caps, ""});
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().message.starts_with("SUTFLEET_ALLOW_CAPS: expected"));
    }
}

TEST_CASE("host rules: a conf's refusals name line, column, key and what was expected") {
    const auto some = rules({"/srv/lab", "debian:*", "", ""});
    const auto conf = decode_sut_conf(*SutName::parse("alpha"), R"(image: evil/image
network: host
user: root
mounts:
- {target: /data, source: /etc}
- {source: /srv/lab, target: /lab}
devices: [/dev/sda]
cap_add: [CHOWN, SYS_ADMIN]
)", &some);
    REQUIRE_FALSE(conf);
    std::vector<std::string> told;
    for (const auto& error : conf.error()) told.push_back(to_string("a.conf", error));
    REQUIRE(told.size() == 5);
    CHECK(told[0] == "a.conf:1:8: 'image': expected an image that SUTFLEET_ALLOW_IMAGES has (now: debian:*), found 'evil/image'");
    CHECK(told[1].starts_with("a.conf:2:10: 'network': expected a network of the engine's: never the host's"));
    CHECK(told[2] == "a.conf:5:27: 'mounts': expected a path that SUTFLEET_ALLOW_MOUNTS has (now: /srv/lab), found '/etc'");
    CHECK(told[3].starts_with("a.conf:7:11: 'devices': expected a device that SUTFLEET_ALLOW_MOUNTS has"));
    CHECK(told[4].starts_with("a.conf:8:18: 'cap_add': expected one that is the container's own business"));
}
