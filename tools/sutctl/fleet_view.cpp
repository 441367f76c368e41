#include "fleet_view.hpp"

#include <algorithm>
#include <chrono>

#include "json_text.hpp"

namespace sutfleet::ctl {
namespace {

using nlohmann::ordered_json;
using namespace std::chrono_literals;

Tone tone_of(std::string_view health) {
    if (health == "ok" || health == "online") return Tone::good;
    if (health == "degraded" || health == "paused") return Tone::warn;
    return health == "unhealthy" || health == "down" || health == "offline" ? Tone::bad
                                                                            : Tone::plain;
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : printable(text);
}

struct Wellness {
    std::string health, why;
};

/// The agent's own word, unless the supervisor knows of something that the agent cannot say of
/// itself.
Wellness health_of(const std::string& agent, const ordered_json& report) {
    const auto seen = text_at(report, {"health"});
    if (agent.empty() || seen == "paused" || seen == "down" || seen == "unhealthy")
        return {seen, text_at(report, {"why"})};
    const auto colon = agent.find(": ");
    return {agent.substr(0, colon),
            colon == std::string::npos ? std::string() : agent.substr(colon + 2)};
}

/// What a person wants to know first: a broken conf, why it is not well, what it waits for, then what
/// it is.
std::string note_of(const ordered_json& report, const std::string& why) {
    if (const auto error = text_at(report, {"conf", "error"}); !error.empty())
        return "conf error: " + error;
    const auto hold = text_at(report, {"hold"});
    // Of one that does not run there is more to say than that.
    if (!why.empty() && (hold.empty() || text_at(report, {"health"}) != "down")) return why;
    return hold.empty() ? text_at(report, {"description"}) : hold;
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

std::optional<WallTime> parse_time(std::string_view rfc3339) {
    // The engine gives nanoseconds, without zeros at the end, and perhaps an offset that we do not read.
    const auto text = std::string(rfc3339.substr(0, rfc3339.find_first_of(".Z")));
    auto fraction = std::string(rfc3339.substr(text.size()));
    if (!fraction.ends_with('Z')) return std::nullopt;
    fraction = (fraction == "Z" ? "." : fraction.substr(0, fraction.size() - 1)) + "000";
    return parse_rfc3339(text + fraction.substr(0, 4) + "Z");
}

std::string age_of(std::string_view rfc3339, WallTime now) {
    const auto since = parse_time(rfc3339);
    if (!since) return {};
    const auto age = std::max(std::chrono::floor<std::chrono::seconds>(now - *since), 0s).count();
    if (age < 120) return std::to_string(age) + "s";
    if (age < 7200) return std::to_string(age / 60) + "m";
    if (age < 172'800) return std::to_string(age / 3600) + "h";
    return std::to_string(age / 86'400) + "d";
}

std::vector<std::string> FleetView::unwell() const {
    std::vector<std::string> out;
    for (const auto& [name, sut] : suts_) {
        const auto report = parse_json(sut.report);
        const auto health = health_of(sut.agent, report).health;
        const auto wanted = text_at(report, {"wanted"});
        const bool broken = wanted == "error" || text_at(report, {"quarantined"}) == "true";
        if (broken || (wanted != "parked" && health != "ok" && health != "online")) out.push_back(name);
    }
    return out;
}

std::vector<Cell> FleetView::row(const std::string& name, const Sut& sut, WallTime now) {
    const auto report = parse_json(sut.report);
    const auto jobs = parse_json(sut.jobs);
    const auto [health, why] = health_of(sut.agent, report);
    const bool has_queue = jobs.is_object() && jobs.contains("queued") && jobs["queued"].is_array();
    const auto queued = has_queue ? jobs["queued"].size() : 0;
    const auto wanted = text_at(report, {"wanted"});
    auto state = text_at(parse_json(sut.state), {"state"});
    if (wanted == "parked") state = wanted;
    if (text_at(report, {"quarantined"}) == "true") state = "quarantined";
    const bool runs = text_at(report, {"container", "status"}) == "running";
    const auto up = runs ? age_of(text_at(report, {"container", "started"}), now) : std::string();
    const bool broken = wanted == "error" || !text_at(report, {"conf", "error"}).empty();
    return {{name, Tone::plain},
            {or_dash(state), Tone::plain},
            {or_dash(health), tone_of(health)},
            {or_dash(text_at(jobs, {"running"})), Tone::plain},
            {std::to_string(queued), queued == 0 ? Tone::dim : Tone::plain},
            {or_dash(up), Tone::plain},
            {or_dash(text_at(report, {"container", "image"})), Tone::plain},
            {printable(note_of(report, why)), broken ? Tone::bad : Tone::dim}};
}

std::vector<std::vector<Cell>> FleetView::table(WallTime now) const {
    std::vector<std::vector<Cell>> rows;
    std::vector<Cell> head;
    for (const auto* title : {"SUT", "STATE", "HEALTH", "JOB", "QUEUED", "UP", "IMAGE", "WHY"})
        head.push_back({title, Tone::dim});
    rows.push_back(std::move(head));
    for (const auto& [name, sut] : suts_) rows.push_back(row(name, sut, now));
    return rows;
}

std::vector<std::string> FleetView::json_lines() const {
    std::vector<std::string> out;
    for (const auto& [name, sut] : suts_) {
        const auto agent = sut.agent.empty() ? ordered_json() : ordered_json(sut.agent);
        const ordered_json object{{"sut", name},
                                  {"agent", agent},
                                  {"state", parse_json(sut.state)},
                                  {"jobs", parse_json(sut.jobs)},
                                  {"report", parse_json(sut.report)}};
        out.push_back(dump_json(object));
    }
    return out;
}

}  // namespace sutfleet::ctl
