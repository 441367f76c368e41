// Secrets: what a conf may name, what is delivered, what is masked.
#include <doctest/doctest.h>

#include "conf/sut_conf_yaml.hpp"
#include "container_spec.hpp"
#include "core/secret_rules.hpp"
#include "masker.hpp"

using namespace sutfleet;

namespace {

tl::expected<SutConf, std::vector<ConfError>> decode(std::string_view text) { return decode_sut_conf(*SutName::parse("alpha"), text); }

std::string bad(std::string_view text) {
    const auto conf = decode(text);
    return conf ? "accepted" : to_string("a.conf", conf.error().front());
}

}  // namespace

TEST_CASE("secrets in a conf: a list of keys, or a map to the names that they are kept by") {
    const auto list = decode("secrets: [TOKEN, WIFI_PSK]\nenv: {A: b}\n");
    REQUIRE(list);
    CHECK(list->secrets == std::map<std::string, std::string>{{"TOKEN", "TOKEN"}, {"WIFI_PSK", "WIFI_PSK"}});
    CHECK(list->agent.env == std::map<std::string, std::string>{{"A", "b"}, {"TOKEN_FILE", "/run/secrets/TOKEN"}, {"WIFI_PSK_FILE", "/run/secrets/WIFI_PSK"}});
    const auto map = decode("secrets: {TOKEN: LAB_TOKEN, OTHER: }\n");
    REQUIRE(map);
    CHECK(map->secrets == std::map<std::string, std::string>{{"TOKEN", "LAB_TOKEN"}, {"OTHER", "OTHER"}});
    CHECK(bad("secrets: [token]\n").starts_with("a.conf:1:11: 'secrets': expected a key such as WIFI_PASSWORD"));
    CHECK(bad("secrets: [A, A]\n") == "a.conf:1:14: 'secrets.A' is there twice");
    CHECK(bad("secrets: [A]\nenv: {A_FILE: x}\n").starts_with("a.conf:1:11: 'secrets.A' sets A_FILE"));
    CHECK(bad("secrets: yes\n").starts_with("a.conf:1:10: 'secrets': expected a list of keys"));
}

TEST_CASE("secrets in a conf: a value that was written there is not repeated") {
    for (const auto* text : {"secrets: {TOKEN: s3cr3t-value}\n", "secrets: [s3cr3t-value]\n", "secrets: s3cr3t-value\n", "secrets: {TOKEN: [s3cr3t-value]}\n"}) {
        const auto said = bad(text);
        CAPTURE(said);
        CHECK(said.starts_with("a.conf:1:"));
        CHECK(said.find("s3cr3t") == std::string::npos);
    }
}

TEST_CASE("a placeholder is no secret") {
    for (const auto* value : {"", "\n", " \t\n", "update-me", "UPDATE_ME\n", "changeme", "Change-Me!", "<placeholder>", "TODO"}) {
        CAPTURE(value);
        CHECK(is_placeholder(value));
    }
    for (const auto* value : {"x", "changeme-not-1", "update-me-update-me", "0", "todolist"}) {
        CAPTURE(value);
        CHECK_FALSE(is_placeholder(value));
    }
}

TEST_CASE("a generation of secrets: the agent's alone, whole before it is shown, the one before emptied") {
    const auto entries = secret_entries({{"A", "one"}, {"B", "two"}}, "2", {{"1", {"A", "OLD"}}}, {10, 11});
    std::vector<std::string> told;
    for (const auto& one : entries) {
        const auto kind = one.kind == VolumeEntry::Kind::file ? "file " : one.kind == VolumeEntry::Kind::link ? "link " : "folder ";
        told.push_back(kind + one.path + " " + one.content);
        if (one.kind == VolumeEntry::Kind::link) continue;
        CHECK(one.uid == 10);
        CHECK(one.gid == 11);
        CHECK(one.mode == (one.kind == VolumeEntry::Kind::file ? 0400U : 0500U));
    }
    CHECK(told == std::vector<std::string>{"folder .g2 ", "file .g2/A one", "file .g2/B two", "link A .current/A", "link B .current/B", "link .current .g2",
                                           "file .g1/A ", "file .g1/OLD "});
    const PastSecrets past{{"17", {"A", "B"}}, {"9", {"C"}}};
    CHECK(decode_past_secrets(encode_past_secrets(past)) == past);
    CHECK(decode_past_secrets("").empty());
    CHECK(decode_past_secrets("../x A\n17 ../x\n17\n17 \n A\n17 a\n").empty());
}

TEST_CASE("a changed secret is delivered without a new container; the first one, or none any more, takes one") {
    const Settings settings;
    const auto sut = *SutName::parse("alpha");
    const auto one = *decode("secrets: [A]\n"), two = *decode("secrets: [A, B]\n"), none = *decode("{}");
    CHECK(config_hash(settings, one) == config_hash(settings, two));
    CHECK(config_hash(settings, one) != config_hash(settings, none));
    ConfFile before{one, {}, {}}, after{one, {}, {}};
    before.secrets = {{"A", "x"}};
    after.secrets = {{"A", "y"}};
    CHECK(delivery_hash(settings, sut, before, "") != delivery_hash(settings, sut, after, ""));
    const auto mounted = [&](const SutConf& conf) {
        for (const auto& volume : container_of(settings, sut, conf, "b", {}, 1, 4).volumes)
            if (volume.target == "/run/secrets") return !volume.writable;
        return false;
    };
    CHECK(mounted(one));
    CHECK_FALSE(mounted(none));
    for (const auto& [key, value] : container_of(settings, sut, one, "b", {}, 1, 4).labels) CHECK(value.find("A_FILE") == std::string::npos);
}

TEST_CASE("the value before is masked as well as the new one") {
    const auto both = agent::Secrets({"new-value"}).and_those_of(agent::Secrets({"old-value"}));
    agent::Masker masker(both);
    CHECK(masker.pass("a new-value b old-value c") + masker.end() == "a *** b *** c");
}

TEST_CASE("an agent without limits of its own gets some, and not the whole machine") {
    const auto made = container_of({}, *SutName::parse("alpha"), *decode("{}"), "b", {}, 1, 4);
    CHECK(made.memory == k_default_memory);
    CHECK(made.cpus == 3);
    CHECK(made.pids == k_default_pids);
    CHECK(default_cpus(1) == 0.75);
    const auto own = container_of({}, *SutName::parse("alpha"), *decode("resources: {memory: 1g, cpus: 4, pids: 7}"), "b", {}, 1, 4);
    CHECK(own.memory == 1 << 30);
    CHECK(own.cpus == 4);
    CHECK(own.pids == 7);
}

TEST_CASE("agents by TLS: another program, and the CA beside the credential; a new CA is a delivery, no new container") {
    Settings plain, tls;
    plain.agent_broker = "mqtt://broker:1884";
    tls.agent_broker = "mqtts://lab:8884";
    const auto sut = *SutName::parse("alpha");
    const auto conf = *decode("{}\n");
    const ConfFile file{conf, {}, {}};
    CHECK(config_hash(plain, conf) != config_hash(tls, conf));
    CHECK(container_of(plain, sut, conf, "b", {}, 1, 4).entrypoint == std::vector<std::string>{"/opt/sutfleet/bin/agent-entry"});
    CHECK(container_of(tls, sut, conf, "b", {}, 1, 4).entrypoint == std::vector<std::string>{"/opt/sutfleet/bin/agent-entry-tls"});
    CHECK(delivery_hash(tls, sut, file, "one") != delivery_hash(tls, sut, file, "two"));
    CHECK(delivery_hash(plain, sut, file, "") != delivery_hash(tls, sut, file, ""));  // the address
    const auto authority = [&](const std::string& text) {
        for (const auto& one : conf_entries(tls, sut, file, "b", {"password", text}, "7", {}))
            if (one.path == ".g7/.ca.pem") return one.content;
        return std::string("none");
    };
    CHECK(authority("PEM") == "PEM");
    CHECK(authority("") == "none");
}
