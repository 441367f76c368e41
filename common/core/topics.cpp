#include "core/topics.hpp"

#include <algorithm>
#include <array>

#include "core/one_line.hpp"

namespace sutfleet {
namespace {
constexpr std::string_view k_fleet = "fleet/";
constexpr std::array<std::string_view, 12> k_own_levels{k_submit, k_submit_status, k_agent,   k_state, k_output, k_last_job,
                                                        "job",    k_jobs,          "metrics", "cmd",   "res",    "credential"};

std::string join(std::string_view a, std::string_view b, std::string_view c, std::string_view d = {}) {
    std::string out;
    out.reserve(a.size() + b.size() + c.size() + d.size());
    return out.append(a).append(b).append(c).append(d);
}
}  // namespace

Topics::Topics(std::string prefix) : prefix_(std::move(prefix)) {
    if (!prefix_.empty() && prefix_.back() != '/') prefix_ += '/';
}

std::string Topics::of(const SutName& sut, std::string_view level) const {
    return join(prefix_, sut.str(), "/", level);
}
std::string Topics::job(const SutName& sut, std::string_view job_id) const {
    return join(prefix_, sut.str(), "/job/", job_id);
}
std::string Topics::metric(const SutName& sut, std::string_view name) const {
    return join(prefix_, sut.str(), "/metrics/", name);
}
std::string Topics::credential(const SutName& sut, std::string_view name) const {
    return join(prefix_, sut.str(), "/credential/", name);
}
std::string Topics::command(const SutName& sut, std::string_view verb) const {
    return join(prefix_, sut.str(), "/cmd/", verb);
}
std::string Topics::response(const SutName& sut, std::string_view verb) const {
    return join(prefix_, sut.str(), "/res/", verb);
}
std::string Topics::everything_of(const SutName& sut) const { return join(prefix_, sut.str(), "/#"); }
std::string Topics::of_all(std::string_view level) const { return join(prefix_, "+/", level); }
std::string Topics::commands(const SutName& sut) const { return join(prefix_, sut.str(), "/cmd/+"); }

std::string Topics::fleet_supervisor() const { return join(prefix_, k_fleet, "supervisor"); }
std::string Topics::fleet_state() const { return join(prefix_, k_fleet, "state"); }
std::string Topics::fleet_events() const { return join(prefix_, k_fleet, "events"); }
std::string Topics::fleet_sut(std::string_view sut) const { return join(prefix_, k_fleet, "sut/", sut); }
std::string Topics::fleet_command(std::string_view verb) const {
    return join(prefix_, k_fleet, "cmd/", verb);
}
std::string Topics::fleet_response(std::string_view verb) const {
    return join(prefix_, k_fleet, "res/", verb);
}
std::string Topics::fleet_queue(std::string_view queue, std::string_view level) const {
    return join(prefix_, k_fleet, "queue/", std::string(queue) + "/" + std::string(level));
}

std::optional<Topics::SutTopic> Topics::parse(std::string_view topic) const {
    if (!topic.starts_with(prefix_)) return std::nullopt;
    topic.remove_prefix(prefix_.size());
    const auto slash = topic.find('/');
    if (slash == std::string_view::npos || slash + 1 == topic.size()) return std::nullopt;
    auto sut = SutName::parse(topic.substr(0, slash));
    if (!sut) return std::nullopt;
    return SutTopic{*std::move(sut), std::string(topic.substr(slash + 1))};
}

std::optional<std::string_view> Topics::parse_fleet(std::string_view topic) const {
    if (!topic.starts_with(prefix_)) return std::nullopt;
    topic.remove_prefix(prefix_.size());
    if (!topic.starts_with(k_fleet)) return std::nullopt;
    return topic.substr(k_fleet.size());
}

std::string Topics::answer_topic(const std::string& wanted, const std::string& usual) const {
    constexpr std::string_view k_res = "res/";
    constexpr std::size_t k_longest = 1000;
    const auto is_bad = [](char c) { return c == '+' || c == '#' || static_cast<unsigned char>(c) < 0x20 || c == 0x7F; };
    if (wanted.empty() || wanted.size() > k_longest || wanted.front() == '$' || !is_utf8(wanted) || std::ranges::any_of(wanted, is_bad)) return usual;
    if (const auto rest = parse_fleet(wanted)) return rest->starts_with(k_res) ? wanted : usual;
    if (const auto own = parse(wanted))
        return own->rest.starts_with(k_res) || !is_own_level(own->rest.substr(0, own->rest.find('/'))) ? wanted : usual;
    return wanted;
}

bool is_own_level(std::string_view level) { return std::ranges::find(k_own_levels, level) != k_own_levels.end(); }

}  // namespace sutfleet
