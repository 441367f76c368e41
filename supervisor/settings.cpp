#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <iostream>

#include "core/version.hpp"
#include "sys/file.hpp"

namespace sutfleet {

tl::expected<Settings, int> read_settings(int argc, char** argv) {
    Settings out;
    out.docker_host = "unix:///var/run/docker.sock";
    CLI::App app("supervisor: keeps one container per conf");
    app.set_version_flag("--version", "supervisor " + std::string(k_version));
    const auto option = [&](const char* name, std::string& into, const char* variable, const char* help) {
        app.add_option(name, into, help)->envname(variable)->capture_default_str();
    };
    option("--stack", out.stack, "SUTFLEET_STACK", "name of the stack, label of all that is touched");
    option("--docker-host", out.docker_host, "DOCKER_HOST", "the engine: unix:///path or tcp://host:port");
    option("--docker-tls-verify", out.docker_tls_verify, "DOCKER_TLS_VERIFY", "1: TLS to an engine on tcp://, both sides with certificates");
    option("--docker-cert-path", out.docker_cert_path, "DOCKER_CERT_PATH", "folder with ca.pem, cert.pem and key.pem (default: $HOME/.docker)");
    option("--broker", out.broker, "SUTFLEET_BROKER", "the broker, mqtt://host:port or mqtts://host:port");
    option("--ca", out.ca, "SUTFLEET_CA", "file with the certificate of its CA, for mqtts:// (default: the system's)");
    option("--agent-broker", out.agent_broker, "SUTFLEET_AGENT_BROKER", "the broker as agents reach it, mqtt:// or mqtts:// (default: as --broker)");
    option("--agent-ca", out.agent_ca, "SUTFLEET_AGENT_CA", "file with the certificate of its CA, given to agents for mqtts:// (default: as --ca)");
    option("--user", out.user, "SUTFLEET_USER", "broker user");
    option("--password-file", out.password_file, "SUTFLEET_PASSWORD_FILE", "file with its password");
    option("--console-env", out.console_env, "SUTFLEET_ENV_FILE", "file to be made for sutctl beside this program: a broker user of its own, new at each start");
    option("--console-broker", out.console_broker, "SUTFLEET_CONSOLE_BROKER", "the broker's URL in it");
    option("--topic-prefix", out.topic_prefix, "SUTFLEET_TOPIC_PREFIX", "prefix of all topics");
    option("--conf-dir", out.conf_dir, "SUTFLEET_CONF_DIR", "folder of the confs");
    option("--context-dir", out.context_dir, "SUTFLEET_CONTEXT_DIR", "folder of the contexts");
    option("--secrets-dir", out.secrets_dir, "SUTFLEET_SECRETS_DIR", "folder of the kept secrets");
    option("--state-dir", out.state_dir, "SUTFLEET_STATE_DIR", "lock, credentials, evidence");
    option("--auth-dir", out.auth_dir, "SUTFLEET_AUTH_DIR", "folder shared with the broker");
    option("--agent-tree", out.agent_tree, "SUTFLEET_AGENT_TREE", "the agents' programs");
    option("--agent-image", out.agent_image, "SUTFLEET_AGENT_IMAGE", "image of agents whose conf names none");
    option("--network", out.network, "SUTFLEET_NETWORK", "network of the agents");
    option("--metrics", out.metrics, "SUTFLEET_METRICS",
           "where to serve Prometheus's metrics: unix:///path, tcp://127.0.0.1:port or off (default: metrics.sock in the state folder)");
    app.add_flag("--open", out.open, "say that the broker asks nobody for a password")->envname("SUTFLEET_OPEN");
    AllowLists allow;
    option("--allow-mounts", allow.mounts, "SUTFLEET_ALLOW_MOUNTS", "folders, devices and volumes that confs may mount: /srv/lab,/srv/out=rw,/dev/ttyUSB*");
    option("--allow-images", allow.images, "SUTFLEET_ALLOW_IMAGES", "patterns of images that confs may name (default: any)");
    option("--allow-caps", allow.caps, "SUTFLEET_ALLOW_CAPS", "further capabilities that confs may add: NET_ADMIN");
    option("--allow-networks", allow.networks, "SUTFLEET_ALLOW_NETWORKS", "patterns of networks that confs may name");
    app.add_flag("--plan", out.plan_only, "print what would be done and why, and do nothing");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return tl::make_unexpected(code == 0 ? 0 : 2);
    }
    auto rules = parse_host_rules(allow);
    if (!rules) {
        std::cerr << "supervisor: " << rules.error().message << "\n";
        return tl::make_unexpected(2);
    }
    out.host_rules = *std::move(rules);
    out.host_rules.stack = out.stack;
    out.host_rules.network = out.network;
    out.host_rules.agent_image = out.agent_image;
    if (out.metrics.empty()) out.metrics = "unix://" + out.state_dir + "/metrics.sock";
    if (out.agent_broker.empty()) out.agent_broker = out.broker;
    if (!out.agent_tls() && !out.agent_broker.empty() && !out.agent_broker.starts_with("mqtt://")) {
        std::cerr << "supervisor: --agent-broker: expected mqtt://host:port or mqtts://host:port, found '" << out.agent_broker << "'\n";
        return tl::make_unexpected(2);
    }
    if (out.agent_ca.empty()) out.agent_ca = out.ca;
    if (out.agent_tls() && out.agent_ca.empty()) {
        std::cerr << "supervisor: --agent-broker " << out.agent_broker << ": expected --agent-ca, too: an agent's image may know no authorities\n";
        return tl::make_unexpected(2);
    }
    return out;
}

std::string host_name() {
    auto name = sys::read_short_text("/etc/hostname");
    return name.empty() ? "?" : name;
}

}  // namespace sutfleet
