// What the household has to do, from the conf and from what earlier lives have left.

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/ids.hpp"
#include "core/topics.hpp"
#include "household.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t k_mark_limit = 4096;
constexpr std::size_t k_levels_limit = 1024 * 1024;
constexpr auto k_mark_again = 30s;
constexpr auto k_new_topic = 1s;  ///< until the broker, too, knows that a probe has come into the conf
constexpr auto k_probe_stagger = 250ms;  ///< at the start: a hundred of them at once would be felt

/// Anything may stand in a file that jobs can write to.
bool is_shown_level(std::string_view level) {
    constexpr std::string_view k_credential = "credential/";
    if (level.starts_with(k_credential)) return is_item_name(level.substr(k_credential.size()));
    return is_item_name(level) && !is_own_level(level);
}

template <class Entries, class Rules>
std::vector<std::string> gone(const Entries& entries, const Rules& rules) {
    std::vector<std::string> out;
    for (const auto& entry : entries)
        if (std::ranges::none_of(rules, [&](const auto& rule) { return rule.name == entry.first; })) out.push_back(entry.first);
    return out;
}

}  // namespace

Household::Household(const AgentConf& conf, std::string folder, Hands hands, SteadyTime now)
    : folder_(std::move(folder)), build_(conf.build), hands_(std::move(hands)), env_(conf.rules.env) {
    const auto shown = sys::read_file(folder_ + "/levels", k_levels_limit).value_or("");
    for (std::size_t at = 0; at < shown.size();) {
        const auto end = std::min(shown.find('\n', at), shown.size());
        if (const auto level = shown.substr(at, end - at); is_shown_level(level)) levels_.insert(level);
        at = end + 1;
    }
    set_conf(conf, now);
    started_ = true;
}

void Household::set_conf(const AgentConf& conf, SteadyTime now) {
    const bool all_anew = conf.rules.env != env_;
    rules_ = conf.rules.household;
    timeouts_ = conf.rules.timeouts;
    env_ = conf.rules.env;
    if (stopping_) return;
    if (init_.set(known_steps()))
        for (auto& child : children_)
            if (child.kind == Kind::init) disown(Kind::init, child.name, now);
    for (const auto& name : services_.set(rules_.services, all_anew, now))
        for (auto& child : children_)
            if (child.kind == Kind::service && child.name == name) tell_to_end(child, now);
    set_renewals(all_anew, now);
    set_probes(all_anew, now);
    keep_levels();
}

void Household::set_renewals(bool all_anew, SteadyTime now) {
    for (const auto& name : gone(renewals_, rules_.renewals)) {
        disown(Kind::renewal, name, now);
        renewals_.erase(name);
    }
    for (const auto& rule : rules_.renewals) {
        const auto old = renewals_.find(rule.name);
        if (old != renewals_.end() && old->second.rule == rule && !all_anew) continue;
        disown(Kind::renewal, rule.name, now);
        RenewalState fresh{rule, Periodic({rule.every, k_renew_backoff}, now)};
        if (old != renewals_.end()) fresh.trouble = old->second.trouble;  // until the new one has shown that it is better
        renewals_.insert_or_assign(rule.name, std::move(fresh));
    }
}

void Household::set_probes(bool all_anew, SteadyTime now) {
    for (const auto& name : gone(probes_, rules_.probes)) {
        disown(Kind::probe, name, now);
        probes_.erase(name);
    }
    auto first = now + (started_ ? k_new_topic : 0s);
    for (const auto& rule : rules_.probes) {
        const auto old = probes_.find(rule.name);
        if (old != probes_.end() && old->second.rule == rule && !all_anew) continue;
        disown(Kind::probe, rule.name, now);
        probes_.insert_or_assign(rule.name, ProbeState{rule, Periodic({rule.every, {}}, first)});
        first += k_probe_stagger;
    }
}

/// A topic that is not in the conf any more would show its last value for ever, also when this agent was down meanwhile.
void Household::keep_levels() {
    std::set<std::string> wanted;
    for (const auto& rule : rules_.renewals) wanted.insert("credential/" + rule.name);
    for (const auto& rule : rules_.probes) wanted.insert(rule.name);
    if (wanted == levels_) return;
    for (const auto& level : levels_)
        if (!wanted.contains(level)) hands_.show(level, "");
    levels_ = std::move(wanted);
    std::string text;
    for (const auto& level : levels_) text += level + "\n";
    if (const auto made = sys::make_folders(folder_, 0755); !made) return;
    if (const auto written = sys::write_file_atomic(folder_ + "/levels", text, 0644, sys::Durability::fast); !written)
        sys::log(sys::Level::warn, written.error().message);
}

std::string Household::mark_path(const std::string& step) const { return folder_ + "/init." + step; }

std::vector<InitSteps::Known> Household::known_steps() const {
    std::vector<InitSteps::Known> out;
    for (const auto& step : rules_.init)
        out.push_back({step, sys::read_file(mark_path(step.name), k_mark_limit).value_or("") == init_mark(build_, step)});
    return out;
}

/// After its success, so that a step that was cut off is done again.
void Household::mark(const InitStep& step, SteadyTime now) {
    sys::crash_point("init: not marked");
    auto written = sys::make_folders(folder_, 0755);
    if (written) written = sys::write_file_atomic(mark_path(step.name), init_mark(build_, step), 0644, sys::Durability::durable);
    sys::crash_point("init: marked");
    if (written) return;
    if (mark_trouble_ != written.error().message) sys::log(sys::Level::error, written.error().message);
    mark_trouble_ = written.error().message;
    mark_again_ = now + k_mark_again;
    unmarked_.push_back(step);
}

Result<std::string> Household::reinit(const std::string& step) {
    if (stopping_) return fail(ErrorKind::conflict, "the agent stops");
    const auto names = init_.again(step);
    if (!names) return fail(names.error());
    std::string list;
    for (const auto& name : *names) {
        list += (list.empty() ? "" : ", ") + name;
        std::erase_if(unmarked_, [&](const InitStep& one) { return one.name == name; });
        if (::unlink(mark_path(name).c_str()) != 0 && errno != ENOENT)
            sys::log(sys::Level::error, errno_error(mark_path(name), errno).message);
    }
    if (const auto synced = sys::sync_folder(folder_); !synced) sys::log(sys::Level::warn, synced.error().message);
    return "does again: " + list;
}

HealthVerdict Household::verdict(SteadyTime now) const {
    auto out = init_.verdict();
    for (const auto& [name, one] : renewals_)
        if (!one.trouble.empty()) out = worst(out, {Health::unhealthy, one.trouble + ": see agent.log; tried again by itself"});
    out = worst(out, services_.verdict(now));
    if (!unmarked_.empty()) out = worst(out, {Health::degraded, "an init step is done, but would be done again: " + mark_trouble_});
    return out;
}

}  // namespace sutfleet::agent
