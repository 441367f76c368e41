#include "fleet.hpp"

#include <algorithm>

#include "core/topics.hpp"

namespace sutfleet {
namespace {

Fleet::Health health_of(const std::string& word) {
    constexpr std::array<std::string_view, Fleet::k_healths - 1> k_words{"ok", "degraded", "unhealthy", "offline", "paused", "down"};
    const auto found = std::ranges::find(k_words, word);
    return static_cast<Fleet::Health>(found - k_words.begin());
}

template <typename Apply>
void combine(Fleet::Totals& into, const Fleet::Totals& other, Apply apply) {
    apply(into.agents, other.agents);
    apply(into.found, other.found);
    apply(into.stay, other.stay);
    apply(into.parked, other.parked);
    apply(into.broken, other.broken);
    apply(into.quarantined, other.quarantined);
    apply(into.engine_healthy, other.engine_healthy);
    apply(into.ok, other.ok);
    apply(into.jobs_running, other.jobs_running);
    apply(into.jobs_queued, other.jobs_queued);
    for (std::size_t i = 0; i < into.by_status.size(); ++i) apply(into.by_status[i], other.by_status[i]);
    for (std::size_t i = 0; i < into.by_health.size(); ++i) apply(into.by_health[i], other.by_health[i]);
}

constexpr std::string_view k_degraded = "degraded: ";

void mark(std::set<SutName>& in, const SutName& sut, bool member) {
    if (member)
        in.insert(sut);
    else
        in.erase(sut);
}

}  // namespace

std::pair<std::string, std::string> judge(const FoundContainer* found, const History& history) {
    if (found == nullptr) return {"", ""};
    if (found->status == ContainerStatus::paused) return {"paused", "the container is paused"};
    if (found->status != ContainerStatus::running) return {"down", "the container does not run"};
    if (history.probe == History::Probe::failed) return {"unhealthy", history.probe_said};
    if (history.probe == History::Probe::fine && history.agent_says == k_offline)
        return {"degraded", "unreachable: its probe is fine, but it is not on the bus" +
                                (history.probe_said.starts_with(k_degraded) ? "; it says: " + history.probe_said.substr(k_degraded.size()) : "")};
    if (found->health == EngineHealth::unhealthy) return {"unhealthy", found->health_log};
    const auto colon = history.agent_says.find(": ");
    if (colon != std::string::npos) return {history.agent_says.substr(0, colon), history.agent_says.substr(colon + 2)};
    return {history.agent_says, ""};
}

void RecentMax::note(std::size_t value, SteadyTime now) {
    if (value != current_) {
        while (!old_.empty() && old_.back().second <= current_) old_.pop_back();
        old_.emplace_back(now, current_);
        current_ = value;
    }
    while (!old_.empty() && (old_.front().second <= current_ || now - old_.front().first > k_window)) old_.pop_front();
}

std::size_t RecentMax::get() const { return old_.empty() ? current_ : std::max(current_, old_.front().second); }

std::optional<SteadyTime> RecentMax::falls_at() const {
    if (old_.empty()) return std::nullopt;
    return old_.front().first + k_window + std::chrono::milliseconds{1};
}

void Fleet::want(const SutName& sut, std::optional<Wanted> wanted) {
    auto& entry = at(sut);
    // What failed may have failed because of the conf: the new one is tried at once.
    if (entry.wanted != wanted && !entry.history.busy) entry.history.failures = 0, entry.history.not_before = {};
    entry.wanted = std::move(wanted);
    touch(sut);
}

void Fleet::find(const SutName& sut, std::optional<FoundContainer> found, SteadyTime now, bool unseen) {
    auto& entry = at(sut);
    auto& history = entry.history;
    const bool running = found && found->status == ContainerStatus::running;
    const auto has_ended = [](const FoundContainer& one) { return one.status == ContainerStatus::exited || one.status == ContainerStatus::dead; };
    const bool ended = found && has_ended(*found), was_ended = ended && entry.found && entry.found->id == found->id && has_ended(*entry.found);
    // The times of one container are the same text; a summary has none.
    const bool anew = running && (!entry.found || entry.found->id != found->id ||
                                  (!found->summary && !entry.found->summary && entry.found->started_at != found->started_at));
    if (!running) history.running_since.reset();
    if (running && (!history.running_since || anew)) {
        history.running_since = now;
        history.probe = History::Probe::none;
    }
    history.ended_unseen = ended && ((unseen && !was_ended) || history.ended_unseen);
    entry.found = std::move(found);
    touch(sut);
}

void Fleet::beat(const SutName& sut, std::string_view says, SteadyTime now) {
    auto& entry = at(sut);
    if (says != k_offline) entry.history.last_beat = now;
    if (entry.history.probe == History::Probe::failed && says != k_offline && !says.starts_with("unhealthy")) {
        entry.history.probe = History::Probe::none;  // it has come to itself
        touch(sut);
    }
    if (entry.history.agent_says == says && entry.hold.empty()) return;
    entry.history.agent_says = says;
    touch(sut);
}

History& Fleet::know(const SutName& sut) {
    touch(sut);
    return at(sut).history;
}

void Fleet::touch(const SutName& sut) {
    touched_.insert(sut);
    changed_.insert(sut);
}

void Fleet::touch_all() {
    for (const auto& [sut, entry] : entries_) touched_.insert(sut);
}

void Fleet::forget(const SutName& sut) {
    const auto found = entries_.find(sut);
    if (found == entries_.end()) return;
    auto& entry = found->second;
    drop_need(sut, entry);
    set_wake(sut, entry, std::nullopt);
    entry.wanted.reset();
    entry.found.reset();
    entry.hold.clear();
    entry.removal = false;
    recount(sut, entry);
    for (auto* set : {&touched_, &changed_, &strays_, &held_, &found_, &removals_}) set->erase(sut);
    entries_.erase(found);
}

void Fleet::link(std::optional<SteadyTime> up_since) {
    if (link_up_since_ == up_since) return;
    link_up_since_ = up_since;
    touch_all();
}

void Fleet::release_removals() {
    released_ = true;
    for (const auto& sut : removals_) touched_.insert(sut);
}

Fleet::Totals Fleet::count(const Entry& entry) {
    Totals one;
    one.agents = entry.wanted || entry.found ? 1 : 0;
    if (one.agents == 0) return one;
    one.found = entry.found ? 1 : 0;
    one.stay = entry.found && entry.wanted ? 1 : 0;
    one.parked = entry.wanted && entry.wanted->kind == Wanted::Kind::parked ? 1 : 0;
    one.broken = entry.wanted && entry.wanted->kind == Wanted::Kind::broken ? 1 : 0;
    one.quarantined = entry.history.quarantined ? 1 : 0;
    one.ok = entry.history.agent_says == "ok" ? 1 : 0;
    one.jobs_running = entry.history.job_runs ? 1 : 0;
    one.jobs_queued = entry.history.jobs_queued;
    if (!entry.found) return one;
    one.engine_healthy = entry.found->health == EngineHealth::healthy ? 1 : 0;
    ++one.by_status[static_cast<std::size_t>(entry.found->status)];
    ++one.by_health[static_cast<std::size_t>(health_of(judge(&*entry.found, entry.history).first))];
    return one;
}

void Fleet::recount(const SutName& sut, Entry& entry) {
    const auto fresh = count(entry);
    if (entry.was_counted && fresh == entry.counted) return;
    entry.was_counted = true;
    combine(totals_, entry.counted, [](std::size_t& total, std::size_t one) { total -= one; });
    combine(totals_, fresh, [](std::size_t& total, std::size_t one) { total += one; });
    entry.counted = fresh;
    mark(strays_, sut, fresh.agents == 0);
    mark(found_, sut, fresh.found != 0);
}

void Fleet::drop_need(const SutName& sut, Entry& entry) {
    if (entry.need && entry.need_since) {
        fresh_.erase({*entry.need_since, sut});
        retries_.erase({*entry.need_since, sut});
    }
    entry.need.reset();
}

void Fleet::set_wake(const SutName& sut, Entry& entry, std::optional<SteadyTime> at) {
    if (entry.wake_at == at) return;
    if (entry.wake_at) timers_.erase({*entry.wake_at, sut});
    entry.wake_at = at;
    if (at) timers_.emplace(*at, sut);
}

void Fleet::decide(const SutName& sut, Entry& entry, SteadyTime now) {
    drop_need(sut, entry);
    auto decision = sutfleet::decide(sut, entry.wanted ? &*entry.wanted : nullptr, entry.found ? &*entry.found : nullptr,
                                     entry.history, programs_, link_up_since_, now);
    const bool removal = decision.action && decision.action->verb == Verb::retire;
    if (removal && !brake_.empty()) {
        decision.action.reset();
        decision.hold = brake_;
    }
    set_wake(sut, entry, decision.wake_at);
    mark(awaiting_job_, sut, decision.for_job);
    if (entry.removal != removal) mark(removals_, sut, removal);
    entry.removal = removal;
    if (entry.hold != decision.hold) {
        mark(held_, sut, !decision.hold.empty());
        changed_.insert(sut);
        entry.hold = std::move(decision.hold);
    }
    entry.need = std::move(decision.action);
    if (entry.need) {
        if (!entry.need_since) entry.need_since = now;
        (entry.history.failures > 0 ? retries_ : fresh_).emplace(*entry.need_since, sut);
    } else if (entry.history.failures == 0 && !entry.history.busy) {
        entry.need_since.reset();
    }
}

/// What the brake says depends on the fleet's size: those that it concerns are decided again when it says something else.
void Fleet::look_at_brake(SteadyTime now) {
    size_.note(totals_.found, now);
    // A release is for what is to go now. It neither ends before that, nor outlives it because of some other hold.
    released_ = released_ && totals_.stay < totals_.found;
    auto says = brake(size_.get(), totals_.stay, released_);
    if (says == brake_) return;
    brake_ = std::move(says);
    for (const auto& sut : removals_) touched_.insert(sut);
}

void Fleet::decide(SteadyTime now) {
    for (auto due = timers_.begin(); due != timers_.end() && due->first <= now; ++due) touched_.insert(due->second);
    for (const auto& sut : touched_) recount(sut, at(sut));
    look_at_brake(now);  // it may touch more
    for (const auto& sut : std::exchange(touched_, {})) decide(sut, at(sut), now);
}

std::vector<Action> Fleet::take(std::size_t free, std::size_t free_for_retries) {
    std::vector<Action> out;
    while (out.size() < free) {
        const bool retry = free_for_retries > 0 && !retries_.empty() && (fresh_.empty() || *retries_.begin() < *fresh_.begin());
        if (!retry && fresh_.empty()) break;
        const auto sut = (retry ? retries_ : fresh_).begin()->second;
        free_for_retries -= retry ? 1U : 0U;
        auto& entry = at(sut);
        entry.history.busy = true;
        out.push_back(*entry.need);
        drop_need(sut, entry);
        touch(sut);
    }
    return out;
}

std::optional<SteadyTime> Fleet::wake_at() const {
    std::optional<SteadyTime> at;
    if (!timers_.empty()) at = timers_.begin()->first;
    if (!brake_.empty())
        if (const auto falls = size_.falls_at()) at = at ? std::min(*at, *falls) : *falls;
    return at;
}

const FoundContainer* Fleet::found(const SutName& sut) const {
    const auto entry = entries_.find(sut);
    return entry == entries_.end() || !entry->second.found ? nullptr : &*entry->second.found;
}

const Wanted* Fleet::wanted(const SutName& sut) const {
    const auto entry = entries_.find(sut);
    return entry == entries_.end() || !entry->second.wanted ? nullptr : &*entry->second.wanted;
}

const History& Fleet::history(const SutName& sut) const {
    static const History k_nothing_known;
    const auto entry = entries_.find(sut);
    return entry == entries_.end() ? k_nothing_known : entry->second.history;
}

std::string Fleet::hold(const SutName& sut) const {
    const auto entry = entries_.find(sut);
    return entry == entries_.end() ? std::string() : entry->second.hold;
}

Observation Fleet::observation() const {
    Observation out;
    for (const auto& [sut, entry] : entries_) {
        if (entry.wanted) out.wanted.emplace(sut, *entry.wanted);
        if (entry.found) out.found.emplace(sut, *entry.found);
        out.history.emplace(sut, entry.history);
    }
    out.link_up_since = link_up_since_;
    out.fleet_before = size_.get();
    out.removals_released = released_;
    out.programs = programs_;
    return out;
}

}  // namespace sutfleet
