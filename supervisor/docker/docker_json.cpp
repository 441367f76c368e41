#include "docker_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"

namespace sutfleet::docker {
namespace {

using nlohmann::json;

std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

long long ns(std::chrono::milliseconds value) { return value.count() * 1'000'000; }

ApiVersion api_of(const std::string& text) {
    ApiVersion out{0, 0};
    const char* end = text.data() + text.size();
    const auto major = std::from_chars(text.data(), end, out.major);
    if (major.ptr != end) std::from_chars(major.ptr + 1, end, out.minor);
    return out;
}

template <class Decode>
auto guarded(std::string_view text, std::string_view what, Decode decode) -> Result<decltype(decode(json()))> try {
    return decode(json::parse(text));
} catch (const std::exception& error) {
    return fail(ErrorKind::permanent, "the engine's answer (" + std::string(what) + "): " + error.what());
}

std::string text_at(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int int_at(const json& object, const char* key, int otherwise) {
    if (!object.is_object()) throw std::invalid_argument("expected an object");
    const auto found = object.find(key);
    return found == object.end() ? otherwise : integer_of<int>(*found);
}

void take_health(FoundContainer& out, const json& state) {
    const auto health = state.find("Health");
    if (health == state.end() || !health->is_object()) return;
    const auto text = text_at(*health, "Status");
    if (text == "healthy") out.health = EngineHealth::healthy;
    if (text == "unhealthy") out.health = EngineHealth::unhealthy;
    if (text == "starting") out.health = EngineHealth::starting;
    const auto log = health->find("Log");
    if (log == health->end() || !log->is_array() || log->empty()) return;
    out.health_log = text_at(log->back(), "Output");
    out.health_log.resize(std::min<std::size_t>(out.health_log.find('\n'), std::min<std::size_t>(out.health_log.size(), 500)));
}

/// Our own volumes. What an image has at that place stays out of them: its files, and its owner of the folder.
json mounts_of(const std::vector<VolumeMount>& volumes) {
    json mounts = json::array();
    for (const auto& volume : volumes)
        mounts.push_back({{"Type", "volume"}, {"Source", volume.volume}, {"Target", volume.target}, {"ReadOnly", !volume.writable},
                          {"VolumeOptions", {{"NoCopy", true}}}});
    return mounts;
}

json host_config(const AgentContainer& wanted) {
    auto mounts = mounts_of(wanted.volumes);
    for (const auto& mount : wanted.mounts)
        mounts.push_back({{"Type", mount.source.starts_with('/') ? "bind" : "volume"}, {"Source", mount.source},
                          {"Target", mount.target}, {"ReadOnly", !mount.writable}});
    json devices = json::array();
    for (const auto& device : wanted.devices)
        devices.push_back({{"PathOnHost", device}, {"PathInContainer", device}, {"CgroupPermissions", "rwm"}});
    json tmpfs = json::object();
    for (const auto& [target, options] : wanted.tmpfs) tmpfs[target] = options;
    json host{{"Mounts", mounts},
              {"Devices", devices},
              {"Tmpfs", tmpfs},
              {"ReadonlyRootfs", true},
              {"CapDrop", {"ALL"}},
              {"CapAdd", wanted.cap_add},
              {"SecurityOpt", {"no-new-privileges"}},
              {"RestartPolicy", {{"Name", "no"}}},
              {"LogConfig", {{"Type", "local"}, {"Config", {{"max-size", "10m"}, {"max-file", "3"}}}}},
              {"NetworkMode", wanted.network}};
    if (wanted.memory) host["Memory"] = *wanted.memory;
    if (wanted.cpus) host["NanoCpus"] = static_cast<long long>(*wanted.cpus * 1e9);
    if (wanted.pids) host["PidsLimit"] = *wanted.pids;
    return host;
}

json health_config(const AgentContainer::Probe& probe, ApiVersion api) {
    json test{"CMD"};
    for (const auto& word : probe.command) test.push_back(word);
    json out{{"Test", test}, {"Interval", ns(probe.interval)}, {"Timeout", ns(probe.timeout)}, {"Retries", probe.retries}};
    // StartInterval came with API 1.44; it needs a start period to have an effect.
    if (api >= ApiVersion{1, 44}) {
        out["StartInterval"] = ns(probe.start_interval);
        out["StartPeriod"] = ns(probe.interval);
    }
    return out;
}

}  // namespace

ContainerStatus status_of(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, ContainerStatus>, 7> k_all{
        {{"created", ContainerStatus::created},
         {"running", ContainerStatus::running},
         {"paused", ContainerStatus::paused},
         {"restarting", ContainerStatus::restarting},
         {"removing", ContainerStatus::removing},
         {"exited", ContainerStatus::exited},
         {"dead", ContainerStatus::dead}}};
    for (const auto& [name, status] : k_all)
        if (name == text) return status;
    return ContainerStatus::dead;
}

Result<ServerVersion> decode_version(std::string_view text) {
    return guarded(text, "version", [](const json& from) {
        return ServerVersion{text_at(from, "Version"), api_of(text_at(from, "ApiVersion")),
                             api_of(text_at(from, "MinAPIVersion"))};
    });
}

std::string encode_create(const AgentContainer& wanted, ApiVersion api) {
    json env = json::array();
    for (const auto& [key, value] : wanted.env) env.push_back(key + "=" + value);
    json body{{"Image", wanted.image},
              {"Hostname", wanted.hostname},
              {"Entrypoint", wanted.entrypoint},
              {"Cmd", json::array()},
              {"Env", env},
              {"Labels", wanted.labels},
              {"StopSignal", "SIGTERM"},  // an image may name one that means nothing to agent-entry
              {"StopTimeout", wanted.stop_timeout.count()},
              {"Healthcheck", health_config(wanted.probe, api)},
              {"HostConfig", host_config(wanted)}};
    if (!wanted.user.empty()) body["User"] = wanted.user;
    if (!wanted.network.empty() && wanted.network != "none")
        body["NetworkingConfig"]["EndpointsConfig"][wanted.network] = {{"Aliases", {wanted.hostname}}};
    return dump(body);
}

Result<std::vector<std::pair<std::string, std::string>>> decode_list(std::string_view text) {
    return guarded(text, "list", [](const json& from) {
        std::vector<std::pair<std::string, std::string>> out;
        for (const auto& one : from) {
            std::string name;
            if (const auto names = one.find("Names"); names != one.end() && names->is_array() && !names->empty())
                name = names->front().get<std::string>();
            if (name.starts_with('/')) name.erase(0, 1);
            out.emplace_back(one.at("Id").get<std::string>(), name);
        }
        return out;
    });
}

Result<FoundContainer> decode_container(std::string_view text) {
    return guarded(text, "container", [](const json& from) {
        FoundContainer out;
        out.id = from.at("Id").get<std::string>();
        out.name = text_at(from, "Name");
        if (out.name.starts_with('/')) out.name.erase(0, 1);
        const auto& config = from.at("Config");
        out.image = text_at(config, "Image");
        if (const auto labels = config.find("Labels"); labels != config.end() && labels->is_object()) {
            out.stack = text_at(*labels, "io.sutfleet.stack");
            out.sut = text_at(*labels, "io.sutfleet.sut");
            out.config_hash = text_at(*labels, "io.sutfleet.config-hash");
            out.programs = text_at(*labels, "io.sutfleet.programs");
        }
        const auto& state = from.at("State");
        out.status = status_of(text_at(state, "Status"));
        if (out.status == ContainerStatus::exited || out.status == ContainerStatus::dead)
            out.exit_code = int_at(state, "ExitCode", -1);
        out.oom_killed = state.value("OOMKilled", false);
        out.started_at = text_at(state, "StartedAt");
        take_health(out, state);
        return out;
    });
}

std::optional<EngineChange> decode_event(std::string_view line) {
    const auto event = too_deep(line) ? json() : json::parse(line, nullptr, false);
    const auto actor = event.is_object() ? event.find("Actor") : event.end();
    if (!event.is_object() || actor == event.end() || !actor->is_object()) return EngineChange{};
    const auto attributes = actor->find("Attributes");
    if (attributes == actor->end() || !attributes->is_object()) return EngineChange{};
    auto sut = text_at(*attributes, "io.sutfleet.sut");
    if (sut.empty()) return std::nullopt;  // the broker, ourselves, a helper
    return EngineChange{std::move(sut), text_at(*actor, "ID")};
}

std::string text_member(std::string_view text, std::string_view key) {
    const auto from = json::parse(text, nullptr, false);
    return from.is_object() ? text_at(from, std::string(key).c_str()) : std::string();
}

Result<std::string> made_id(std::string_view text) {
    auto id = text_member(text, "Id");
    const auto fits = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; };
    if (id.empty() || id.size() > 128 || !std::ranges::all_of(id, fits))
        return fail(ErrorKind::invalid_input, "the engine's answer has no id: expected letters and digits in 'Id'");
    return id;
}

Result<int> decode_cpus(std::string_view text) {
    return guarded(text, "info", [](const json& from) { return int_at(from, "NCPU", 1); });
}

Result<std::string> decode_image_user(std::string_view text) {
    return guarded(text, "image", [](const json& from) {
        const auto config = from.find("Config");
        return config == from.end() || !config->is_object() ? std::string() : text_at(*config, "User");
    });
}

Result<ExecState> decode_exec(std::string_view text) {
    return guarded(text, "exec", [](const json& from) {
        ExecState out;
        out.running = from.value("Running", true);
        if (const auto code = from.find("ExitCode"); code != from.end() && code->is_number()) out.exit_code = integer_of<int>(*code);
        return out;
    });
}

std::string encode_exec(const std::vector<std::string>& command) {
    return dump({{"Cmd", command}, {"AttachStdout", true}, {"AttachStderr", true}});
}

std::string encode_texts(const std::map<std::string, std::string>& texts) { return dump(json(texts)); }

std::string encode_volume(std::string_view name, const std::map<std::string, std::string>& labels) {
    return dump({{"Name", name}, {"Labels", labels}});
}

std::string helper_mount(std::size_t index) { return "/v" + std::to_string(index); }

std::string encode_helper(std::string_view image, const std::map<std::string, std::string>& labels,
                          const std::vector<std::string>& volumes) {
    json mounts = json::array();
    for (std::size_t i = 0; i < volumes.size(); ++i)
        mounts.push_back({{"Type", "volume"}, {"Source", volumes[i]}, {"Target", helper_mount(i)}});
    return dump({{"Image", image},
                 {"Entrypoint", {"/never-started"}},
                 {"Labels", labels},
                 {"NetworkDisabled", true},
                 {"HostConfig", {{"Mounts", mounts}, {"NetworkMode", "none"}}}});
}

std::string encode_errand(const Engine::Errand& errand) {
    return dump({{"Image", errand.image},
                 {"Entrypoint", errand.command},
                 {"Cmd", json::array()},
                 {"User", "0:0"},
                 {"WorkingDir", "/"},
                 {"Labels", errand.labels},
                 {"NetworkDisabled", true},
                 {"Healthcheck", {{"Test", {"NONE"}}}},
                 {"HostConfig",
                  {{"Mounts", mounts_of(errand.volumes)},
                   {"NetworkMode", "none"},
                   {"ReadonlyRootfs", true},
                   {"CapDrop", {"ALL"}},
                   {"CapAdd", errand.cap_add},
                   {"PidsLimit", 64},
                   {"SecurityOpt", {"no-new-privileges"}}}}});
}

Result<int> decode_wait(std::string_view text) {
    return guarded(text, "wait", [](const json& from) { return int_at(from, "StatusCode", -1); });
}

std::string encode_filters(const std::vector<std::string>& labels) { return dump({{"label", labels}}); }

std::string encode_event_filters(std::string_view stack) {
    // Named one by one: every probe of every container emits exec_create, exec_start and exec_die.
    return dump({{"type", {"container"}},
                 {"label", {"io.sutfleet.stack=" + std::string(stack)}},
                 {"event", {"create", "start", "die", "destroy", "remove", "pause", "unpause", "oom", "rename",
                            "health_status"}}});
}

std::string unframe(std::string_view stream) {
    std::string out;
    while (stream.size() >= 8 && static_cast<unsigned char>(stream[0]) <= 2 && stream[1] == 0 && stream[2] == 0) {
        std::size_t size = 0;
        for (std::size_t i = 4; i < 8; ++i) size = size << 8 | static_cast<unsigned char>(stream[i]);
        out.append(stream.substr(8, size));
        stream.remove_prefix(std::min(stream.size(), 8 + size));
    }
    return out.append(stream);
}

}  // namespace sutfleet::docker
