#pragma once
// What the supervisor is told by its environment; compose.yaml sets it.

#include <string>

#include "core/host_rules.hpp"

namespace sutfleet {

struct Settings {
    std::string stack = "sutfleet";
    std::string docker_host, docker_tls_verify, docker_cert_path;  ///< as the docker CLI has them
    std::string broker;         ///< URL for the supervisor itself
    std::string ca;             ///< file of its authorities, for mqtts://
    std::string agent_broker;   ///< URL as the agents reach it
    std::string agent_ca;       ///< file of its authorities for them, for mqtts://
    std::string user = "supervisor";
    std::string password_file;
    std::string console_env;     ///< empty: no console
    std::string console_broker;
    std::string topic_prefix;
    std::string conf_dir = "/sut";
    std::string context_dir = "/contexts";
    std::string secrets_dir = "/secrets";
    std::string state_dir = "/var/lib/sutfleet-supervisor";
    std::string auth_dir = "/var/lib/sutfleet-auth";
    std::string agent_tree = "/opt/sutfleet/agent-tree";
    std::string agent_image = "sutfleet/agent:latest";
    std::string network;
    std::string metrics;  ///< where they are served: unix:///path, tcp://127.0.0.1:port, off
    HostRules host_rules;  ///< what confs may ask of the host
    bool plan_only = false;
    bool open = false;  ///< the broker asks nobody for a password

    [[nodiscard]] bool agent_tls() const { return agent_broker.starts_with("mqtts://"); }
};

/// The beginning of our own container's id, in a container; "?" when it cannot be read.
[[nodiscard]] std::string host_name();

/// Environment and command line. @return the exit code instead, when there is nothing to run (--help, an error).
tl::expected<Settings, int> read_settings(int argc, char** argv);

}  // namespace sutfleet
