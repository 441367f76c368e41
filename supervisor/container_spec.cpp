#include "container_spec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "conf/agent_conf.hpp"
#include "core/agent_files.hpp"
#include "core/version.hpp"

namespace sutfleet {
namespace {

/// FNV-1a over length-prefixed parts, so that no two lists of parts run together.
class Digest {
  public:
    Digest& add(std::string_view part) {
        mix(std::to_string(part.size()) + ":");
        mix(part);
        return *this;
    }
    [[nodiscard]] std::string hex() const {
        std::array<char, 17> text{};
        std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash_));
        return text.data();
    }

  private:
    void mix(std::string_view text) {
        for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    }
    std::uint64_t hash_ = 14695981039346656037ULL;
};

std::string agent_json(const Settings& settings, const SutName& sut, const SutConf& conf, const std::string& build) {
    return encode_agent_conf({sut, settings.stack, settings.agent_broker, settings.topic_prefix, build, conf.agent});
}

std::optional<unsigned> number_of(std::string_view text) {
    unsigned number = 0;
    const char* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, number);
    return read.ec == std::errc{} && read.ptr == end ? std::optional(number) : std::nullopt;
}

/// passwd(5): name:password:uid:gid:…
std::optional<Owner> find_user(std::string_view passwd, std::string_view name) {
    while (!passwd.empty()) {
        const auto line = passwd.substr(0, passwd.find('\n'));
        passwd.remove_prefix(std::min(passwd.size(), line.size() + 1));
        std::array<std::string_view, 4> fields;
        std::size_t at = 0;
        for (auto& field : fields) {
            field = line.substr(std::min(at, line.size()), line.find(':', at) - std::min(at, line.size()));
            at += field.size() + 1;
        }
        const auto uid = number_of(fields[2]), gid = number_of(fields[3]);
        if (fields[0] == name && uid && gid) return Owner{*uid, *gid};
    }
    return std::nullopt;
}

}  // namespace

std::chrono::milliseconds auto_interval(std::size_t agents, int cpus) {
    const double seconds = static_cast<double>(agents) * 0.06 / (0.02 * std::max(cpus, 1));
    return std::chrono::seconds(std::max(10L, std::lround(std::ceil(seconds))));
}

double default_cpus(int cpus) { return cpus > 1 ? cpus - 1 : 0.75; }

std::string interval_line(const Plan& plan, std::size_t agents, int cpus) {
    const auto makes = [](const Action& action) { return action.verb == Verb::create || action.verb == Verb::recreate; };
    if (cpus == 0 || std::ranges::none_of(plan.actions, makes)) return {};
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(auto_interval(agents, cpus)).count();
    return "new containers with interval: auto are probed every " + std::to_string(seconds) + " s: " + std::to_string(agents) +
           " agents on " + std::to_string(cpus) + " cores\n";
}

std::string container_name(const Settings& settings, const SutName& sut) {
    return settings.stack == "sutfleet" ? sut.str() : settings.stack + "-" + sut.str();
}
std::string conf_volume(const Settings& settings, const SutName& sut) { return settings.stack + "-" + sut.str() + "-conf"; }
std::string state_volume(const Settings& settings, const SutName& sut) {
    return settings.stack + "-" + sut.str() + "-state";
}
std::string secrets_volume(const Settings& settings, const SutName& sut) { return settings.stack + "-" + sut.str() + "-secrets"; }
std::string programs_volume(const Settings& settings, const std::string& build) {
    return settings.stack + "-programs-" + build;
}
std::string image_of(const Settings& settings, const SutConf& conf) {
    return conf.container.image.empty() ? settings.agent_image : conf.container.image;
}
std::map<std::string, std::string> stack_labels(const Settings& settings) {
    return {{"io.sutfleet.stack", settings.stack}};
}

std::map<std::string, std::string> helper_labels(const Settings& settings) {
    auto labels = stack_labels(settings);
    labels["io.sutfleet.role"] = "helper";
    return labels;
}

std::string config_hash(const Settings& settings, const SutConf& conf) {
    const auto& shape = conf.container;
    Digest digest;
    digest.add(image_of(settings, conf)).add(shape.context).add(shape.network).add(shape.user);
    for (const auto& mount : shape.mounts)
        digest.add("mount").add(mount.source).add(mount.target).add(mount.writable ? "rw" : "ro");
    for (const auto& device : shape.devices) digest.add("device").add(device);
    for (const auto& cap : shape.cap_add) digest.add("cap").add(cap);
    if (!conf.secrets.empty()) digest.add("secrets");  // whether there is a volume of them, not which
    digest.add("memory").add(std::to_string(shape.memory.value_or(k_default_memory)));
    if (shape.cpus) digest.add("cpus").add(std::to_string(*shape.cpus));
    digest.add("pids").add(std::to_string(shape.pids.value_or(k_default_pids)));
    if (settings.agent_tls()) digest.add("tls");  // another program
    return digest.hex();
}

Result<Owner> owner_of(const std::string& user, const std::function<Result<std::string>()>& passwd) {
    const auto name = std::string_view(user).substr(0, user.find(':'));
    if (name.empty()) return Owner{};
    auto owner = number_of(name) ? Owner{*number_of(name), *number_of(name)} : Owner{};
    if (!number_of(name)) {
        const auto text = passwd();
        if (!text) return fail(text.error());
        const auto found = find_user(*text, name);
        if (!found) return fail(ErrorKind::not_found, "no user '" + std::string(name) + "' in the image's /etc/passwd: expected one of it, or a number");
        owner = *found;
    }
    if (name.size() < user.size()) owner.gid = number_of(std::string_view(user).substr(name.size() + 1)).value_or(owner.gid);
    return owner;
}

AgentContainer container_of(const Settings& settings, const SutName& sut, const SutConf& conf, const std::string& build,
                            Owner owner, std::size_t agents, int cpus) {
    const auto& shape = conf.container;
    const auto own = ",uid=" + std::to_string(owner.uid) + ",gid=" + std::to_string(owner.gid);
    AgentContainer out;
    out.name = container_name(settings, sut);
    out.hostname = sut.str();
    out.image = image_of(settings, conf);
    out.entrypoint = {std::string(settings.agent_tls() ? agent_files::k_agent_entry_tls : agent_files::k_agent_entry)};
    out.labels = stack_labels(settings);
    for (const auto& [key, value] : conf.labels) out.labels.try_emplace(key, value);
    out.labels["io.sutfleet.sut"] = sut.str();
    out.labels["io.sutfleet.config-hash"] = config_hash(settings, conf);
    out.labels["io.sutfleet.programs"] = build;
    out.labels["org.opencontainers.image.title"] = conf.description.empty() ? sut.str() : conf.description;
    out.labels["org.opencontainers.image.version"] = std::string(k_version);
    out.labels["com.docker.compose.project"] = settings.stack;
    out.labels["com.docker.compose.service"] = sut.str();
    // By these `docker compose ps` lists it (pkg/compose/filters.go of Compose 2).
    out.labels["com.docker.compose.oneoff"] = "False";
    out.labels["com.docker.compose.config-hash"] = out.labels["io.sutfleet.config-hash"];
    out.labels["com.docker.compose.container-number"] = "1";
    out.volumes = {{programs_volume(settings, build), std::string(agent_files::k_programs), false},
                   {conf_volume(settings, sut), std::string(agent_files::k_conf), false},
                   {state_volume(settings, sut), std::string(agent_files::k_state), true}};
    if (!conf.secrets.empty())
        out.volumes.push_back({secrets_volume(settings, sut), std::string(agent_files::k_secrets), false});
    out.tmpfs = {{std::string(agent_files::k_run), "rw,nosuid,nodev,noexec,size=1m,mode=0755" + own},
                 {"/tmp", "rw,nosuid,nodev,exec,size=256m,mode=1777"}};
    out.mounts = shape.mounts;
    out.devices = shape.devices;
    out.network = shape.network.empty() ? settings.network : shape.network;
    out.memory = shape.memory.value_or(k_default_memory);
    out.cpus = shape.cpus.value_or(default_cpus(cpus));
    out.pids = shape.pids.value_or(k_default_pids);
    out.user = shape.user;
    out.cap_add = shape.cap_add;
    using namespace std::chrono_literals;
    out.probe = {{std::string(agent_files::k_healthcheck)},
                 conf.agent.health.interval.value_or(auto_interval(agents, cpus)), 10s, 1s, 2};
    out.stop_timeout = std::chrono::ceil<std::chrono::seconds>(conf.agent.timeouts.stop) + 10s;
    return out;
}

std::vector<VolumeEntry> conf_entries(const Settings& settings, const SutName& sut, const ConfFile& file,
                                      const std::string& build, const BrokerAccess& access,
                                      const std::string& generation, Owner owner) {
    using Kind = VolumeEntry::Kind;
    const auto folder = ".g" + generation;
    std::vector<VolumeEntry> out{{Kind::folder, folder, {}, 0755, owner.uid, owner.gid}};
    const auto add = [&](const std::string& name, std::string content, unsigned mode) {
        out.push_back({Kind::file, folder + "/" + name, std::move(content), mode, owner.uid, owner.gid});
    };
    add(std::string(agent_files::k_agent_conf), agent_json(settings, sut, *file.conf, build), 0444);
    add(std::string(agent_files::k_credential), access.credential, 0400);
    if (!access.authority.empty()) add(std::string(agent_files::k_authority), access.authority, 0444);
    for (const auto& companion : file.companions) add(companion.name, companion.content, 0444);
    for (const auto& companion : file.companions)
        out.push_back({Kind::link, companion.name, std::string(agent_files::k_current) + "/" + companion.name, 0777, 0, 0});
    // Last: the folder is whole before the link shows it.
    out.push_back({Kind::link, std::string(agent_files::k_current), folder, 0777, 0, 0});
    return out;
}

std::vector<VolumeEntry> secret_entries(const SecretValues& values, const std::string& generation, const PastSecrets& past, Owner owner) {
    using Kind = VolumeEntry::Kind;
    const auto folder = ".g" + generation;
    std::vector<VolumeEntry> out{{Kind::folder, folder, {}, 0500, owner.uid, owner.gid}};
    for (const auto& [key, value] : values) out.push_back({Kind::file, folder + "/" + key, value, 0400, owner.uid, owner.gid});
    for (const auto& [key, value] : values)
        out.push_back({Kind::link, key, std::string(agent_files::k_current) + "/" + key, 0777, 0, 0});
    out.push_back({Kind::link, std::string(agent_files::k_current), folder, 0777, 0, 0});
    for (const auto& [old, keys] : past)
        for (const auto& key : keys)
            if (old != generation) out.push_back({Kind::file, ".g" + old + "/" + key, {}, 0400, owner.uid, owner.gid});
    return out;
}

std::string encode_past_secrets(const PastSecrets& past) {
    std::string out;
    for (const auto& [generation, keys] : past)
        for (const auto& key : keys) out += generation + " " + key + "\n";
    return out;
}

PastSecrets decode_past_secrets(std::string_view text) {
    PastSecrets out;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), line.size() + 1));
        const auto generation = line.substr(0, line.find(' '));
        const auto key = line.substr(std::min(line.size(), generation.size() + 1));
        const bool is_number = !generation.empty() && generation.find_first_not_of("0123456789") == std::string_view::npos;
        if (is_number && is_secret_key(key)) out[std::string(generation)].emplace_back(key);
    }
    return out;
}

std::string delivery_hash(const Settings& settings, const SutName& sut, const ConfFile& file, const std::string& authority) {
    Digest digest;
    digest.add(agent_json(settings, sut, *file.conf, ""));
    for (const auto& companion : file.companions) digest.add(companion.name).add(companion.content);
    for (const auto& [key, value] : file.secrets) digest.add(key).add(value);
    if (!authority.empty()) digest.add(authority);
    return digest.hex();
}

}  // namespace sutfleet
