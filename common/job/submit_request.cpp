#include "job/submit_request.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/duration.hpp"
#include "core/json_guard.hpp"

namespace sutfleet {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> k_optional_phases{"provision", "firmware_update", "allocate",
                                                            "reserve", "test"};
/// Of the published job schema of Testflinger; what it says to its server means nothing here.
constexpr std::array<std::string_view, 11> k_server_keys{
    "job_queue", "name", "tags", "job_id", "parent_job_id", "attachments_status", "exclude_agents",
    "allocation_timeout", "job_status_webhook", "job_priority", "debug"};

Result<void> refuse(std::string message) { return fail(ErrorKind::invalid_input, std::move(message)); }

Result<std::chrono::milliseconds> duration(const std::string& key, const json& value) {
    const auto text = value.is_string() ? value.get<std::string>() : value.dump();
    auto parsed = parse_duration(text);
    if (!parsed) return fail(parsed.error().with(key));
    return parsed;
}

Result<void> take_env(JobRequest& job, const json& value) {
    if (!value.is_object()) return refuse("'env' must be an object of strings");
    for (const auto& [name, text] : value.items()) {
        if (!text.is_string() || name.empty() || name.find('=') != std::string::npos ||
            name.find('\0') != std::string::npos || text.get<std::string>().find('\0') != std::string::npos)
            return refuse("'env' must be an object of strings");
        job.env[name] = text.get<std::string>();
    }
    return {};
}

/// A number or a boolean counts as the text that it is written as: what it must be is the conf's to say.
Result<void> take_arguments(JobRequest& job, const json& value) {
    const std::string expected = "'arguments' must be an object of texts, numbers and booleans";
    if (!value.is_object()) return refuse(expected);
    if (value.size() > k_arguments_limit) return refuse("'arguments' has more than " + std::to_string(k_arguments_limit) + " entries");
    auto& arguments = job.arguments.emplace();
    for (const auto& [name, one] : value.items()) {
        if (!one.is_string() && !one.is_number() && !one.is_boolean()) return refuse(expected);
        arguments[name] = one.is_string() ? one.get<std::string>() : one.dump();
    }
    return {};
}

Result<int> number(const std::string& key, const json& value, int least, int most) {
    if (!value.is_number_integer() || value < least || value > most)
        return fail(ErrorKind::invalid_input, "'" + key + "' must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    return value.get<int>();
}

Result<void> take_retry_on(RetryRule& rule, const json& value) {
    if (!value.is_array()) return refuse("'retries.on' must be a list of exit codes, 'timeout' or 'lost'");
    for (const auto& one : value) {
        if (one == "timeout") rule.on_timeout = true;
        else if (one == "lost") rule.on_lost = true;
        else if (const auto code = number("retries.on", one, 1, 255)) rule.on.insert(*code);
        else return refuse("'retries.on' must be a list of exit codes, 'timeout' or 'lost'");
    }
    return {};
}

Result<void> take_retries(RetryRule& rule, const json& value) {
    if (!value.is_object()) return refuse("'retries' must be an object with max, on and delay");
    for (const auto& [key, one] : value.items()) {
        if (key == "max") {
            const auto max = number("retries.max", one, 0, 100);
            if (!max) return fail(max.error());
            rule.max = static_cast<unsigned>(*max);
        } else if (key == "on") {
            if (auto taken = take_retry_on(rule, one); !taken) return taken;
        } else if (key == "delay") {
            const auto delay = duration("retries.delay", one);
            if (!delay) return fail(delay.error());
            rule.delay = *delay;
        } else {
            return refuse("'retries' has an unknown key '" + key.substr(0, 40) + "': expected max, on or delay");
        }
    }
    return {};
}

bool skips(const json& data) { return data.is_object() && data.value("skip", json(false)) == json(true); }

void take_phase(JobRequest& job, const std::string& phase, const json& data) {
    skips(data) ? job.skipped.insert(phase) : job.phases.insert(phase);
}

Result<void> take_test_data(JobRequest& job, const json& value) {
    if (value.is_null()) return {};
    const bool commanded = value.is_object() && value.contains("test_cmds");
    if (!commanded || skips(value)) take_phase(job, "test", value);
    if (!commanded) return {};
    const auto& commands = value.at("test_cmds");
    if (commands.is_string()) {
        job.command = commands.get<std::string>();
        return {};
    }
    if (!commands.is_array()) return refuse("'test_cmds' must be a text or a list of texts");
    for (const auto& line : commands) {
        if (!line.is_string()) return refuse("'test_cmds' must be a text or a list of texts");
        job.command += line.get<std::string>() + "\n";
    }
    return {};
}

Result<void> take_artifacts(JobRequest& job, const json& value) {
    const std::string expected = "'artifacts' must be a list of file name patterns within the job's folder";
    if (!value.is_array()) return refuse(expected);
    if (value.size() > k_artifact_patterns) return refuse("'artifacts' has more than " + std::to_string(k_artifact_patterns) + " patterns");
    for (const auto& one : value) {
        const auto pattern = one.is_string() ? one.get<std::string>() : std::string();
        const bool leaves = pattern.starts_with('/') || ("/" + pattern + "/").find("/../") != std::string::npos;
        if (pattern.empty() || pattern.size() > k_artifact_pattern_limit || leaves || pattern.find('\0') != std::string::npos) return refuse(expected);
        job.artifacts.push_back(pattern);
    }
    return {};
}

/// No value is no data: so do Testflinger's jobs write that there is nothing to do.
void take_phase_data(JobRequest& job, const std::string& phase, const json& data) {
    if (!data.is_null()) take_phase(job, phase, data);
}

Result<void> take_phases(JobRequest& job, const json& value) {
    if (!value.is_object()) return refuse("'phases' must be an object");
    for (const auto& [phase, data] : value.items()) {
        if (std::ranges::find(k_optional_phases, phase) == k_optional_phases.end())
            return refuse("'phases' has an unknown phase '" + phase.substr(0, 40) + "'");
        take_phase(job, phase, data);
    }
    return {};
}

Result<void> take_text(std::string& into, const std::string& key, const json& value) {
    if (!value.is_string()) return refuse("'" + key + "' must be a text");
    into = value.get<std::string>();
    return {};
}

Result<void> take(JobRequest& job, const std::string& key, const json& value) {
    if (key == "id") {
        if (!value.is_string()) return refuse("'id' must be a text");
        auto id = JobId::parse(value.get<std::string>());
        if (!id) return fail(id.error());
        job.id = *std::move(id);
        return {};
    }
    if (key == "command") return take_text(job.command, key, value);
    if (key == "arguments") return take_arguments(job, value);
    if (key == "env") return take_env(job, value);
    if (key == "test_data") return take_test_data(job, value);
    if (key == "phases") return take_phases(job, value);
    if (key == "timeout" || key == "global_timeout" || key == "output_timeout") {
        auto parsed = duration(key, value);
        if (!parsed) return fail(parsed.error());
        (key == "output_timeout" ? job.output_timeout : job.timeout) = *parsed;
        return {};
    }
    if (key == "priority") {
        const auto taken = number(key, value, -100, 100);
        if (!taken) return fail(taken.error());
        job.priority = *taken;
        return {};
    }
    if (key == "expires") {
        const auto taken = duration(key, value);
        if (!taken) return fail(taken.error());
        job.expires = *taken;
        return {};
    }
    if (key == "artifacts") return take_artifacts(job, value);
    if (key == "retries") return take_retries(job.retries, value);
    if (key == "context") return {};  // free form: the job's JSON carries it to the commands
    for (const auto phase : k_optional_phases)
        if (key == std::string(phase) + "_data") return take_phase_data(job, std::string(phase), value), Result<void>{};
    if (std::ranges::find(k_server_keys, key) != k_server_keys.end()) return {};
    return refuse("unknown key '" + key.substr(0, 40) + "'");
}

Result<JobRequest> decode_object(std::string_view payload) {
    if (too_deep(payload)) return fail(ErrorKind::invalid_input, "the JSON is nested too deep");
    const auto object = json::parse(payload, nullptr, false);
    if (!object.is_object()) return fail(ErrorKind::invalid_input, "begins with '{' but is not valid JSON");
    JobRequest job;
    for (const auto& [key, value] : object.items()) {
        if (auto taken = take(job, key, value); !taken) return fail(taken.error());
        job.keys.insert(key);
    }
    if (job.command.find('\0') != std::string::npos)  // by an escape; a program would see only what is before it
        return fail(ErrorKind::invalid_input, "not a text: it has a NUL byte");
    job.json = object.dump();
    return job;
}

JobRequest text_job(std::string_view payload) {
    JobRequest job;
    job.command = std::string(payload);
    std::erase(job.command, '\r');  // CRLF is accepted
    const json as_object{{"command", job.command}};
    job.json = as_object.dump(-1, ' ', false, json::error_handler_t::replace);
    return job;
}

}  // namespace

Result<JobRequest> decode_submit(std::string_view payload) {
    if (payload.size() > k_submit_limit) return fail(ErrorKind::invalid_input, "too large");
    if (payload.find('\0') != std::string_view::npos)
        return fail(ErrorKind::invalid_input, "not a text: it has a NUL byte");
    if (payload.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return fail(ErrorKind::invalid_input, "empty");
    return payload.front() == '{' ? decode_object(payload) : Result<JobRequest>(text_job(payload));
}

std::string shown_command(std::string_view command) {
    auto shown = std::string(command.substr(0, command.find('\n')));
    if (shown.size() > k_command_shown) shown.resize(k_command_shown);
    return shown;
}

}  // namespace sutfleet
