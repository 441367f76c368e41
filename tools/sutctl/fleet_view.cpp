#include "fleet_view.hpp"

#include <nlohmann/json.hpp>

namespace sutfleet::ctl {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Null for what is not JSON: the bus is open to anybody who may write there.
json parse(const std::string& text) {
    auto value = json::parse(text, nullptr, false);
    return value.is_discarded() ? json() : value;
}

std::string text_at(const json& object, std::initializer_list<const char*> path) {
    const json* at = &object;
    for (const auto* key : path) {
        if (!at->is_object() || !at->contains(key)) return {};
        at = &(*at)[key];
    }
    if (at->is_string()) return at->get<std::string>();
    return at->is_null() ? std::string() : at->dump(-1, ' ', false, json::error_handler_t::replace);
}

Tone tone_of(std::string_view health) {
    if (health == "ok" || health == "online") return Tone::good;
    if (health == "degraded" || health == "paused") return Tone::warn;
    return health == "unhealthy" || health == "down" || health == "offline" ? Tone::bad
                                                                            : Tone::plain;
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : printable(text);
}

std::string container_text(const json& report) {
    const auto status = text_at(report, {"container", "status"});
    const auto health = text_at(report, {"container", "health"});
    return health.empty() || health == "none" || status.empty() ? status
                                                                : status + " (" + health + ")";
}

struct Wellness {
    std::string health, why;
};

/// The agent's own word, unless the supervisor knows of something that the agent cannot say of
/// itself.
Wellness health_of(const std::string& agent, const json& report) {
    const auto seen = text_at(report, {"health"});
    if (agent.empty() || seen == "paused" || seen == "down" || seen == "unhealthy")
        return {seen, text_at(report, {"why"})};
    const auto colon = agent.find(": ");
    return {agent.substr(0, colon),
            colon == std::string::npos ? std::string() : agent.substr(colon + 2)};
}

/// What a person wants to know first: a broken conf, then why it is not well, then what it is.
std::string note_of(const json& report, const std::string& why) {
    if (const auto error = text_at(report, {"conf", "error"}); !error.empty())
        return "conf error: " + error;
    return why.empty() ? text_at(report, {"description"}) : why;
}

}  // namespace

void FleetView::hear(std::string_view topic, std::string_view payload) {
    constexpr std::string_view k_report = "sut/";
    if (const auto fleet = topics_.parse_fleet(topic)) {
        if (*fleet == "supervisor") supervisor_ = payload;
        if (fleet->starts_with(k_report)) {
            const std::string name(fleet->substr(k_report.size()));
            if (payload.empty())
                suts_.erase(name);
            else
                suts_[name].report = payload;
        }
        return;
    }
    const auto parsed = topics_.parse(topic);
    if (!parsed || payload.empty()) return;
    auto& sut = suts_[parsed->sut.str()];
    if (parsed->rest == k_agent) sut.agent = payload;
    if (parsed->rest == k_state) sut.state = payload;
    if (parsed->rest == k_jobs) sut.jobs = payload;
}

std::vector<std::string> FleetView::names() const {
    std::vector<std::string> out;
    for (const auto& [name, sut] : suts_) out.push_back(name);
    return out;
}

std::vector<Cell> FleetView::row(const std::string& name, const Sut& sut) {
    const auto report = parse(sut.report);
    const auto jobs = parse(sut.jobs);
    const auto [health, why] = health_of(sut.agent, report);
    const auto queued = jobs.is_object() && jobs.contains("queued") ? jobs["queued"].size() : 0;
    const auto wanted = text_at(report, {"wanted"});
    auto state = text_at(parse(sut.state), {"state"});
    if (wanted == "parked") state = wanted;
    if (text_at(report, {"quarantined"}) == "true") state = "quarantined";
    const bool broken = wanted == "error" || !text_at(report, {"conf", "error"}).empty();
    return {{name, Tone::plain},
            {or_dash(health), tone_of(health)},
            {or_dash(state), Tone::plain},
            {or_dash(text_at(jobs, {"running"})), Tone::plain},
            {std::to_string(queued), queued == 0 ? Tone::dim : Tone::plain},
            {or_dash(container_text(report)), Tone::plain},
            {or_dash(text_at(report, {"restarts"})), Tone::plain},
            {printable(note_of(report, why)), broken ? Tone::bad : Tone::dim}};
}

std::vector<std::vector<Cell>> FleetView::table() const {
    std::vector<std::vector<Cell>> rows;
    std::vector<Cell> head;
    for (const auto* title :
         {"SUT", "HEALTH", "STATE", "JOB", "QUEUED", "CONTAINER", "RESTARTS", "NOTE"})
        head.push_back({title, Tone::dim});
    rows.push_back(std::move(head));
    for (const auto& [name, sut] : suts_) rows.push_back(row(name, sut));
    return rows;
}

std::vector<std::string> FleetView::json_lines() const {
    std::vector<std::string> out;
    for (const auto& [name, sut] : suts_) {
        const auto agent = sut.agent.empty() ? ordered_json() : ordered_json(sut.agent);
        const ordered_json object{{"sut", name},
                                  {"agent", agent},
                                  {"state", parse(sut.state)},
                                  {"jobs", parse(sut.jobs)},
                                  {"report", parse(sut.report)}};
        out.push_back(object.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
    }
    return out;
}

}  // namespace sutfleet::ctl
