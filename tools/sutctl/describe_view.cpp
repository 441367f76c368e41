#include "describe_view.hpp"

#include "event_view.hpp"
#include "fleet_view.hpp"
#include "json_text.hpp"

namespace sutfleet::ctl {
namespace {

using nlohmann::ordered_json;
using Rows = std::vector<std::vector<Cell>>;

std::string next_part(std::string_view& text, char end) {
    const auto at = text.find(end);
    std::string out(text.substr(0, at));
    text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
    return out;
}

struct ConfLine {
    std::string origin, key, value;
};

std::vector<ConfLine> conf_lines(std::string_view text) {
    std::vector<ConfLine> out;
    while (!text.empty()) {
        const auto line = next_part(text, '\n');
        std::string_view rest(line);
        ConfLine one{next_part(rest, '\t'), next_part(rest, '\t'), std::string(rest)};
        if (!one.key.empty()) out.push_back(std::move(one));
    }
    return out;
}

/// The rows of a section, two blanks in; a row without a value is left out.
class Section {
  public:
    void row(std::string name, const std::string& value, Tone tone = Tone::plain) {
        if (!value.empty()) rows_.push_back({{"  " + std::move(name), Tone::dim}, {printable(value), tone}});
    }
    void cells(std::vector<Cell> row) {
        row.front().text = "  " + row.front().text;
        rows_.push_back(std::move(row));
    }
    [[nodiscard]] std::string text(const Screen& screen, const std::string& title) const {
        return rows_.empty() ? std::string() : title + "\n" + render_table(screen, rows_);
    }

  private:
    Rows rows_;
};

std::string with_why(const std::string& what, const std::string& why) {
    return why.empty() || what.empty() ? what : what + ": " + why;
}

/// `a=1, b=2` of an object, `a, b` of a list.
std::string joined(const ordered_json& object, const char* key) {
    std::string out;
    if (!object.is_object() || !object.contains(key) || !object[key].is_structured()) return out;
    const auto& all = object[key];
    for (const auto& [name, value] : all.items()) {
        const auto text = value.is_string() ? value.get<std::string>() : dump_json(value);
        out += (out.empty() ? "" : ", ") + (all.is_object() ? name + "=" : "") + text;
    }
    return out;
}

std::string container_line(const ordered_json& report) {
    auto status = text_at(report, {"container", "status"});
    if (status.empty()) return status;
    const auto health = text_at(report, {"container", "health"});
    if (!health.empty() && health != "none") status += " (" + health + ")";
    const auto name = text_at(report, {"container", "name"});
    return status + (name.empty() ? "" : ", " + name) + ", " + text_at(report, {"container", "id"});
}

std::string up_line(const ordered_json& report, WallTime now) {
    const auto started = text_at(report, {"container", "started"});
    const auto age = age_of(started, now);
    return age.empty() || text_at(report, {"container", "status"}) != "running" ? std::string() : age + ", since " + started;
}

std::string errors_of_conf(const Screen& screen, std::string errors) {
    std::string out;
    std::string_view rest(errors);
    while (!rest.empty()) out += "  " + screen.paint(Tone::bad, printable(next_part(rest, '\n'))) + "\n";
    return out.empty() ? out : "conf error\n" + out;
}

/// Where not every text may be submitted, or some have a name.
std::string submit_text(const ordered_json& report) {
    if (!report.is_object() || !report.contains("submit") || !report["submit"].is_object()) return {};
    const auto& submit = report["submit"];
    std::string out = text_at(report, {"submit", "shell"}) == "false" ? "only these may be submitted\n" : "named commands, beside any shell text\n";
    if (submit.contains("commands") && submit["commands"].is_array())
        for (const auto& one : submit["commands"])
            if (one.is_string()) out += "  " + printable(one.get<std::string>()) + "\n";
    return out;
}

std::string evidence_text(const ordered_json& report) {
    const auto at = text_at(report, {"evidence", "at"});
    if (at.empty()) return {};
    std::string out = "evidence of " + printable(at) + ": " + printable(text_at(report, {"evidence", "why"})) + "\n";
    if (const auto code = text_at(report, {"evidence", "exit_code"}); !code.empty()) out += "  exit code: " + printable(code) + "\n";
    if (const auto probe = text_at(report, {"evidence", "health_log"}); !probe.empty())
        out += "  probe: " + printable(probe) + "\n";
    const auto output = text_at(report, {"evidence", "output"});
    std::string_view rest(output);
    while (!rest.empty()) out += "  | " + printable(next_part(rest, '\n')) + "\n";
    return out;
}

Section overview(const ordered_json& report, const std::string& agent, const ordered_json& state,
                 const ordered_json& jobs, WallTime now) {
    Section out;
    out.row("description", text_at(report, {"description"}));
    out.row("labels", joined(report, "labels"));
    out.row("wanted", text_at(report, {"wanted"}));
    out.row("state", with_why(text_at(state, {"state"}), text_at(state, {"why"})));
    out.row("since", text_at(state, {"since"}));
    out.row("agent", agent);
    out.row("health", with_why(text_at(report, {"health"}), text_at(report, {"why"})));
    out.row("hold", text_at(report, {"hold"}), Tone::warn);
    if (text_at(report, {"quarantined"}) == "true")
        out.row("quarantined", "after too many restarts; `sutctl reset` releases it", Tone::bad);
    out.row("job", text_at(jobs, {"running"}));
    out.row("queued", joined(jobs, "queued"));
    out.row("container", container_line(report));
    out.row("image", text_at(report, {"container", "image"}));
    out.row("up", up_line(report, now));
    out.row("exit code", text_at(report, {"container", "exit_code"}));
    out.row("restarts", text_at(report, {"restarts"}));
    out.row("warnings", joined(report, "warnings"), Tone::warn);
    return out;
}

}  // namespace

std::string SutDescription::told(const std::string& level) const {
    const auto found = told_.find(level);
    return found == told_.end() ? std::string() : found->second;
}

std::string SutDescription::text(const Screen& screen, WallTime now) const {
    const auto report = parse_json(told("report"));
    auto out = overview(report, told("agent"), parse_json(told("state")), parse_json(told("jobs")), now).text(screen, name_);
    out += errors_of_conf(screen, text_at(report, {"conf", "error"}));
    out += submit_text(report);
    Section history;
    for (const auto& event : past_events(name_, told("report"))) {
        auto reason = printable(event.reason);
        if (event.times > 1) reason += " (" + std::to_string(event.times) + " times)";
        history.cells({{printable(event.at)}, {printable(event.action)}, {printable(with_why(event.result, event.error)), event.error.empty() ? Tone::good : Tone::bad}, {reason}});
    }
    out += history.text(screen, "history, newest first");
    out += evidence_text(report);
    Section conf;
    for (const auto& line : conf_lines(conf_))
        conf.cells({{printable(line.origin), Tone::dim}, {printable(line.key)}, {printable(line.value)}});
    out += conf.text(screen, "conf");
    if (!conf_error_.empty()) out += "conf\n  " + screen.paint(Tone::warn, "not known: " + printable(conf_error_)) + "\n";
    return out;
}

std::string SutDescription::json() const {
    auto conf = conf_.empty() ? ordered_json() : ordered_json::array();
    for (const auto& line : conf_lines(conf_))
        conf.push_back({{"key", line.key}, {"value", line.value}, {"origin", line.origin}});
    const auto agent = told("agent");
    return dump_json({{"sut", name_},
                      {"agent", agent.empty() ? ordered_json() : ordered_json(agent)},
                      {"state", parse_json(told("state"))},
                      {"jobs", parse_json(told("jobs"))},
                      {"report", parse_json(told("report"))},
                      {"conf", std::move(conf)},
                      {"conf_error", conf_error_.empty() ? ordered_json() : ordered_json(conf_error_)}});
}

}  // namespace sutfleet::ctl
