#include "conf/agent_conf.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/ids.hpp"
#include "core/json_guard.hpp"
#include "core/topics.hpp"

namespace sutfleet {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

std::string_view to_text(RestartPolicy policy) {
    switch (policy) {
        case RestartPolicy::always:
            return "always";
        case RestartPolicy::on_failure:
            return "on-failure";
        case RestartPolicy::no:
            return "no";
    }
    return "on-failure";
}

RestartPolicy restart_policy(const std::string& text) {
    if (text == "always") return RestartPolicy::always;
    if (text == "no") return RestartPolicy::no;
    if (text == "on-failure") return RestartPolicy::on_failure;
    throw std::invalid_argument("'restart' is '" + text + "'");
}

json optional_ms(const std::optional<milliseconds>& value) {
    return value ? json(value->count()) : json(nullptr);
}

milliseconds ms(const json& value) {
    return milliseconds(integer_of<milliseconds::rep>(value));
}

std::optional<milliseconds> optional_ms(const json& value) {
    if (value.is_null()) return std::nullopt;
    return ms(value);
}

json encode(const Timeouts& timeouts) {
    return {{"job", timeouts.job.count()},
            {"output", timeouts.output.count()},
            {"stop", timeouts.stop.count()},
            {"queue", optional_ms(timeouts.queue)}};
}

Timeouts decode_timeouts(const json& from) {
    return {ms(from.at("job")), ms(from.at("output")), ms(from.at("stop")),
            optional_ms(from.at("queue"))};
}

json encode(const JobRules& jobs) {
    return {{"keep", jobs.keep.count()},
            {"max_bytes", jobs.max_bytes},
            {"protected", jobs.protected_phases}};
}

JobRules decode_jobs(const json& from) {
    return {ms(from.at("keep")), integer_of<std::int64_t>(from.at("max_bytes")),
            from.at("protected").get<std::vector<std::string>>()};
}

json encode(const LogRules& log) {
    return {{"max_bytes", log.max_bytes}, {"keep", log.keep}};
}

LogRules decode_log(const json& from) {
    LogRules out{integer_of<std::uint64_t>(from.at("max_bytes")), integer_of<unsigned>(from.at("keep"))};
    if (out.max_bytes == 0 || out.max_bytes > k_log_limit || out.keep == 0 || out.keep > k_log_keep_limit)
        throw std::invalid_argument("'log' is out of its range");
    return out;
}

json encode(const HealthRules& health) {
    return {{"heartbeat", health.heartbeat.count()},
            {"max_age", health.max_age.count()},
            {"interval", optional_ms(health.interval)},
            {"silence", optional_ms(health.silence)},
            {"unhealthy_on", health.unhealthy_on},
            {"clear_on", health.clear_on},
            {"restart_on_unhealthy", health.restart_on_unhealthy}};
}

HealthRules decode_health(const json& from) {
    HealthRules out;
    out.heartbeat = ms(from.at("heartbeat"));
    out.max_age = ms(from.at("max_age"));
    out.interval = optional_ms(from.at("interval"));
    out.silence = optional_ms(from.at("silence"));
    from.at("unhealthy_on").get_to(out.unhealthy_on);
    from.at("clear_on").get_to(out.clear_on);
    from.at("restart_on_unhealthy").get_to(out.restart_on_unhealthy);
    return out;
}

void encode(const HouseholdRules& household, json& out) {
    for (const auto& step : household.init)
        out["init"].push_back({{"name", step.name}, {"run", step.run.argv}});
    for (const auto& service : household.services)
        out["services"].push_back({{"name", service.name}, {"command", service.command.argv}});
    for (const auto& one : household.renewals)
        out["renew"].push_back({{"name", one.name}, {"run", one.run.argv}, {"every", one.every.count()}});
    for (const auto& probe : household.probes)
        out["probes"].push_back({{"name", probe.name},
                                 {"url", probe.url},
                                 {"every", probe.every.count()},
                                 {"timeout", probe.timeout.count()}});
}

constexpr std::array<std::string_view, 5> k_types{"integer", "number", "boolean", "choice", "text"};

json encode(const CommandParameter& parameter) {
    return {{"type", k_types.at(static_cast<std::size_t>(parameter.type))},
            {"min", parameter.min},
            {"max", parameter.max},
            {"values", parameter.values},
            {"match", parameter.match},
            {"max_length", parameter.max_length},
            {"default", parameter.preset ? json(*parameter.preset) : json(nullptr)}};
}

json encode(const SubmitPolicy& policy) {
    json commands = json::object();
    for (const auto& [name, command] : policy.commands) {
        json parameters = json::object();
        for (const auto& [key, parameter] : command.parameters) parameters[key] = encode(parameter);
        commands[name] = {{"run", command.run}, {"parameters", std::move(parameters)}};
    }
    return {{"shell", policy.shell}, {"commands", std::move(commands)}};
}

Command decode_command(const json& from) {
    Command out{from.get<std::vector<std::string>>()};
    if (out.argv.empty()) throw std::invalid_argument("a command is empty");
    return out;
}

CommandParameter decode_parameter(const json& from) {
    CommandParameter out;
    const auto type = std::ranges::find(k_types, from.at("type").get<std::string>());
    if (type == k_types.end()) throw std::invalid_argument("a parameter's 'type' is unknown");
    out.type = static_cast<CommandParameter::Type>(type - k_types.begin());
    from.at("min").get_to(out.min);
    from.at("max").get_to(out.max);
    from.at("values").get_to(out.values);
    from.at("match").get_to(out.match);
    out.max_length = integer_of<std::size_t>(from.at("max_length"));
    if (!from.at("default").is_null()) out.preset = from.at("default").get<std::string>();
    return out;
}

SubmitPolicy decode_submit_policy(const json& from) {
    SubmitPolicy out;
    from.at("shell").get_to(out.shell);
    for (const auto& [name, command] : from.at("commands").items()) {
        auto& one = out.commands[name] = {decode_command(command.at("run")).argv, {}};
        for (const auto& [key, parameter] : command.at("parameters").items()) one.parameters[key] = decode_parameter(parameter);
    }
    return out;
}

json encode(const AgentRules& rules) {
    json phases = json::object();
    for (const auto& [name, command] : rules.phases) phases[name] = command.argv;
    json out{{"command", rules.command ? json(rules.command->argv) : json(nullptr)},
             {"restart", to_text(rules.restart)},
             {"queues", rules.queues},
             {"phases", std::move(phases)},
             {"jobs", encode(rules.jobs)},
             {"log", encode(rules.log)},
             {"timeouts", encode(rules.timeouts)},
             {"health", encode(rules.health)},
             {"env", rules.env},
             {"submit", encode(rules.submit)}};
    encode(rules.household, out);
    return out;
}

/// A name becomes a topic level and the name of a file.
std::string name_of(const json& from) {
    auto name = from.at("name").get<std::string>();
    if (!is_item_name(name)) throw std::invalid_argument("'name' is '" + name.substr(0, 80) + "'");
    return name;
}

/// `read` for each item of the list; without the key there is none.
template <class Read>
void each(const json& from, const char* key, const Read& read) {
    if (!from.contains(key)) return;
    if (!from.at(key).is_array()) throw std::invalid_argument("'" + std::string(key) + "' is no list");
    for (const auto& item : from.at(key)) read(item);
}

HouseholdRules decode_household(const json& from) {
    HouseholdRules out;
    each(from, "init", [&](const json& item) {
        out.init.push_back({name_of(item), decode_command(item.at("run"))});
    });
    each(from, "services", [&](const json& item) {
        out.services.push_back({name_of(item), decode_command(item.at("command"))});
    });
    each(from, "renew", [&](const json& item) {
        out.renewals.push_back({name_of(item), decode_command(item.at("run")), ms(item.at("every"))});
    });
    each(from, "probes", [&](const json& item) {
        out.probes.push_back({name_of(item), item.at("url").get<std::string>(), ms(item.at("every")),
                              ms(item.at("timeout"))});
        if (is_own_level(out.probes.back().name))
            throw std::invalid_argument("'probes' has a topic of the agent itself");
    });
    return out;
}

AgentRules decode_rules(const json& from) {
    AgentRules out;
    if (const auto& command = from.at("command"); !command.is_null())
        out.command = decode_command(command);
    out.restart = restart_policy(from.at("restart").get<std::string>());
    from.at("queues").get_to(out.queues);
    for (const auto& [name, argv] : from.at("phases").items())
        out.phases[name] = decode_command(argv);
    out.jobs = decode_jobs(from.at("jobs"));
    if (from.contains("log")) out.log = decode_log(from.at("log"));
    out.timeouts = decode_timeouts(from.at("timeouts"));
    out.health = decode_health(from.at("health"));
    from.at("env").get_to(out.env);
    out.household = decode_household(from);
    if (from.contains("submit")) out.submit = decode_submit_policy(from.at("submit"));
    return out;
}

}  // namespace

std::string encode_agent_conf(const AgentConf& conf) {
    const json out{{"sut", conf.sut.str()}, {"stack", conf.stack},
                   {"broker", conf.broker}, {"topic_prefix", conf.topic_prefix},
                   {"build", conf.build},   {"rules", encode(conf.rules)}};
    return out.dump(1, ' ', false, json::error_handler_t::replace);
}

Result<AgentConf> decode_agent_conf(std::string_view text) try {
    const auto from = json::parse(text);
    auto sut = SutName::parse(from.at("sut").get<std::string>());
    if (!sut) return fail(sut.error());
    return AgentConf{*std::move(sut),
                     from.at("stack").get<std::string>(),
                     from.at("broker").get<std::string>(),
                     from.at("topic_prefix").get<std::string>(),
                     from.at("build").get<std::string>(),
                     decode_rules(from.at("rules"))};
} catch (const std::exception& error) {
    return fail(ErrorKind::invalid_input, std::string("agent.json: ") + error.what());
}

}  // namespace sutfleet
