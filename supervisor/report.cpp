#include "report.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "core/one_line.hpp"
#include "core/timestamp.hpp"
#include "policy/submit_policy.hpp"

namespace sutfleet {
namespace {

using nlohmann::ordered_json;

std::string dump(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json text_or_null(const std::string& text) { return text.empty() ? ordered_json(nullptr) : ordered_json(text); }

std::string_view name(ContainerStatus status) {
    constexpr std::array<std::string_view, 7> k_names{"created",  "running", "paused", "restarting",
                                                      "removing", "exited",  "dead"};
    return k_names.at(static_cast<std::size_t>(status));
}

std::string_view name(EngineHealth health) {
    constexpr std::array<std::string_view, 4> k_names{"none", "starting", "healthy", "unhealthy"};
    return k_names.at(static_cast<std::size_t>(health));
}

ordered_json container_of(const FoundContainer* found) {
    if (found == nullptr) return nullptr;
    return {{"id", found->id.substr(0, 12)},
            {"name", found->name},
            {"image", found->image},
            {"status", name(found->status)},
            {"health", name(found->health)},
            {"health_why", text_or_null(found->health_log)},
            {"exit_code", found->exit_code ? ordered_json(*found->exit_code) : ordered_json(nullptr)},
            {"started", text_or_null(found->started_at)}};
}

/// The retained report stays under 20,000 bytes, so that every client shows all of it.
constexpr std::size_t k_history_text = 200;
constexpr std::size_t k_commands_text = 4000;
constexpr std::size_t k_evidence_output = 8000;
constexpr std::size_t k_report_limit = 1024 * 1024;  ///< of one that is read again

ordered_json encode(const std::vector<PastAction>& history) {
    auto out = ordered_json::array();
    for (const auto& one : history) {
        out.push_back({{"at", one.at}, {"what", one.what}, {"why", one_line(one.why, k_history_text)}, {"result", one_line(one.result, k_history_text)}});
        if (one.times > 1) out.back()["times"] = one.times;
    }
    return out;
}

std::string text_at(const ordered_json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? one_line(found->get<std::string>(), k_history_text) : std::string();
}

}  // namespace

std::vector<PastAction> decode_history(std::string_view report) {
    std::vector<PastAction> out;
    if (too_deep(report) || report.size() > k_report_limit) return out;
    const auto object = ordered_json::parse(report, nullptr, false);
    if (!object.is_object() || !object.contains("history") || !object["history"].is_array()) return out;
    for (const auto& one : object["history"]) {
        if (!one.is_object() || out.size() == ActionHistory::k_kept) continue;
        PastAction past{text_at(one, "what"), text_at(one, "why"), text_at(one, "at"), text_at(one, "result"), 1};
        if (const auto times = one.find("times"); times != one.end() && times->is_number_unsigned() && *times <= 1'000'000'000U)
            past.times = times->get<unsigned>();
        if (parse_rfc3339(past.at) && !past.what.empty()) out.push_back(std::move(past));
    }
    return out;
}

std::string decode_evidence(std::string_view report) {
    if (too_deep(report) || report.size() > k_report_limit) return {};
    const auto object = ordered_json::parse(report, nullptr, false);
    if (!object.is_object() || !object.contains("evidence") || !object["evidence"].is_object()) return {};
    return dump(object["evidence"]);
}

std::string encode_evidence(const Evidence& evidence) {
    const auto skipped = evidence.output.size() - std::min(evidence.output.size(), k_evidence_output);
    ordered_json out{{"at", evidence.at}, {"why", evidence.why}, {"health_log", evidence.health_log}, {"output", evidence.output.substr(skipped)}};
    if (evidence.exit_code) out["exit_code"] = *evidence.exit_code;
    return dump(out);
}

/// What may be submitted, for people: the texts that would be taken.
ordered_json submit_of(const SubmitPolicy& policy) {
    auto out = ordered_json::array();
    std::size_t room = k_commands_text;
    for (const auto& [name, command] : policy.commands) {
        const auto text = one_line(usage(name, command), k_history_text);
        if (text.size() > room) break;
        room -= text.size();
        out.push_back(text);
    }
    const auto more = policy.commands.size() - out.size();
    return {{"shell", policy.shell}, {"commands", std::move(out)}, {"more", more}};
}

std::string encode(const SutReport& report) {
    ordered_json labels = ordered_json::object();
    ordered_json warnings = ordered_json::array();
    if (report.conf != nullptr) {
        for (const auto& [key, value] : report.conf->labels) labels[key] = value;
        for (const auto& key : report.conf->not_acted_on) warnings.push_back("not acted on by this version: " + key);
    }
    if (report.other_programs) warnings.push_back("the agent's programs are another version's: its next restart brings this one's");
    ordered_json action = nullptr;
    ordered_json commands = nullptr;
    if (report.conf != nullptr && (!report.conf->agent.submit.shell || !report.conf->agent.submit.commands.empty())) commands = submit_of(report.conf->agent.submit);
    if (report.last_action)
        action = {{"what", report.last_action->what}, {"why", report.last_action->why}, {"at", report.last_action->at}, {"result", report.last_action->result}};
    return dump({{"sut", report.sut},
                 {"wanted", report.wanted},
                 {"health", text_or_null(report.health)},
                 {"why", text_or_null(report.health_why)},
                 {"conf", {{"file", report.file}, {"error", text_or_null(report.error)}}},
                 {"description", report.conf != nullptr ? report.conf->description : ""},
                 {"labels", std::move(labels)},
                 {"submit", std::move(commands)},
                 {"container", container_of(report.found)},
                 {"restarts", report.restarts},
                 {"quarantined", report.quarantined},
                 {"agent", text_or_null(report.agent)},
                 {"hold", text_or_null(report.hold)},
                 {"last_action", std::move(action)},
                 {"history", encode(report.history)},
                 {"evidence", report.evidence.empty() ? ordered_json(nullptr) : ordered_json::parse(report.evidence, nullptr, false)},
                 {"warnings", std::move(warnings)}});
}

std::string encode(const FleetReport& report) {
    return dump({{"agents", report.agents}, {"running", report.running}, {"healthy", report.healthy}, {"ok", report.ok},
                 {"errors", report.errors}, {"parked", report.parked}, {"quarantined", report.quarantined},
                 {"engine", report.engine}, {"broker", report.broker}, {"certificate", report.certificate}, {"complaints", report.complaints}, {"held", report.held}});
}

std::string encode(const Event& event) {
    ordered_json out{{"at", event.at}, {"sut", text_or_null(event.sut)}, {"action", event.action}, {"reason", event.reason},
                     {"result", event.result}, {"error", text_or_null(event.error)}};
    if (!event.output.empty()) out["output"] = event.output;
    return dump(out);
}

std::string encode_answer(const Result<std::string>& outcome, const std::string& request) {
    const auto asked = too_deep(request) ? ordered_json() : ordered_json::parse(request, nullptr, false);
    return dump({{"status", outcome ? "ok" : "error"},
                 {"data", outcome ? ordered_json(*outcome) : ordered_json(nullptr)},
                 {"error", outcome ? ordered_json(nullptr) : ordered_json(outcome.error().message)},
                 {"transaction", asked.is_object() && asked.contains("transaction") ? asked["transaction"] : ordered_json(nullptr)}});
}

std::string argument_of(const std::string& request) {
    const auto asked = too_deep(request) ? ordered_json() : ordered_json::parse(request, nullptr, false);
    if (!asked.is_object()) return request;
    const auto found = asked.find("argument");
    return found != asked.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool job_runs(std::string_view jobs_payload) {
    const auto jobs = ordered_json::parse(jobs_payload, nullptr, false);
    return jobs.is_object() && jobs.contains("running") && jobs["running"].is_string();
}

std::size_t jobs_queued(std::string_view jobs_payload) {
    const auto jobs = ordered_json::parse(jobs_payload, nullptr, false);
    return jobs.is_object() && jobs.contains("queued") && jobs["queued"].is_array() ? jobs["queued"].size() : 0;
}

}  // namespace sutfleet
