// The supervisor's eyes: what the engine has, looked at where something changed, and as a whole now and then.

#include "supervisor.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;

constexpr BackoffPolicy k_failed_looks{1s, 30s};

/// Whether a list tells nothing new of a container. It does not tell the health of one that is paused, nor, on some
/// engines, of any.
bool says_the_same(const FoundContainer& summary, const FoundContainer& known) {
    return summary.id == known.id && summary.status == known.status && summary.config_hash == known.config_hash &&
           (summary.health == EngineHealth::none || summary.health == known.health);
}

}  // namespace

void Supervisor::observe_engine(SteadyTime now) {
    take_engine_changes();
    if (const auto only = refuse_a_second(lookout_->take_supervisors(), settings_); !only) {
        sys::log(sys::Level::error, only.error().message);
        stopping_ = true;
    }
    for (auto& look : lookout_->take()) note(std::move(look), now);
    while (!looks_again_.empty() && looks_again_.begin()->first <= now) {
        const auto sut = looks_again_.begin()->second;
        looks_again_.erase(looks_again_.begin());
        look_at(sut);
    }
    if (now < next_look_ || look_runs_) return;
    next_look_ = now + k_look_again;
    look_runs_ = true;
    lookout_->look_at_all();
}

void Supervisor::take_engine_changes() {
    std::map<std::string, std::string> changes;
    {
        const std::scoped_lock lock(changes_mutex_);
        changes.swap(changes_);
    }
    for (const auto& [name, id] : changes) {
        if (name.empty()) next_look_ = {};
        // What an action of ours does is looked at when it has ended.
        if (const auto sut = SutName::parse(name); sut && !under_way_.contains(*sut)) look_at(*sut, id);
    }
}

void Supervisor::look_at(const SutName& sut, const std::string& id) {
    const auto* known = fleet_.found(sut);
    const auto looks = looks_.find(sut);
    lookout_->look_at(sut, id.empty() && known != nullptr ? known->id : id, looks != looks_.end() && looks->second.failures > 0);
}

void Supervisor::settle_by_look(const SutName& sut) {
    const auto* known = fleet_.found(sut);
    looks_[sut].settles_at = lookout_->look_at(sut, known != nullptr ? known->id : std::string());
}

void Supervisor::note(Look look, SteadyTime now) {
    if (!look.sut) return note_all(std::move(look), now);
    if (!look.found) return note_failed_look(*look.sut, look.found.error(), now);
    looks_[*look.sut].failures = 0;
    note_one(*look.sut, look.number, look.found->empty() ? std::nullopt : std::optional(look.found->front()), now, false);
}

void Supervisor::note_all(Look look, SteadyTime now) {
    look_runs_ = false;
    if (!look.found) {
        found_known_ = false;
        next_look_ = now + 1s;
        if (engine_trouble_ != look.found.error().message) sys::log(sys::Level::error, look.found.error().message);
        engine_trouble_ = look.found.error().message;
        fleet_report_at_ = {};
        return;
    }
    const bool was_away = !engine_trouble_.empty();
    if (was_away) sys::log(sys::Level::info, "the engine answers again");
    engine_trouble_.clear();
    if (!std::exchange(found_known_, true)) fleet_report_at_ = {};
    std::map<SutName, FoundContainer> fresh;
    for (auto& one : *look.found) {
        const auto sut = SutName::parse(one.sut);
        if (!sut) continue;
        const auto [at, is_first] = fresh.try_emplace(*sut, one);
        const auto* known = is_first ? nullptr : fleet_.found(*sut);
        if (known != nullptr && known->id == one.id) at->second = one;  // of two, the one that we know
    }
    std::vector<SutName> gone;
    for (const auto& sut : fleet_.all_found())
        if (!fresh.contains(sut)) gone.push_back(sut);
    for (const auto& [sut, looks] : looks_)
        if (looks.settles_at && !fresh.contains(sut) && fleet_.found(sut) == nullptr) gone.push_back(sut);
    for (const auto& sut : gone) note_one(sut, look.number, std::nullopt, now, was_away);
    const bool first = !std::exchange(looked_at_all_, true);  // nothing was acted on before
    for (auto& [sut, one] : fresh) {
        if (first) fleet_.know(sut).from_before = true;
        note_summary(sut, look.number, std::move(one), now, was_away || first);
    }
}

/// Older than one that was taken, or of a time when an action of ours was under way.
bool Supervisor::is_stale(const SutName& sut, std::uint64_t number) {
    const auto& looks = looks_[sut];
    if (number <= looks.newest) return true;
    return fleet_.history(sut).busy && (!looks.settles_at || number < *looks.settles_at);
}

void Supervisor::note_one(const SutName& sut, std::uint64_t number, std::optional<FoundContainer> found, SteadyTime now,
                          bool unseen) {
    if (is_stale(sut, number)) return;
    auto& looks = looks_[sut];
    looks.newest = number;
    looks.settles_at.reset();
    if (fleet_.history(sut).busy) fleet_.know(sut).busy = false;
    if (found && fleet_.history(sut).delivered_hash.empty()) recall(sut, now);
    if (registrar_.rotating(sut) && fleet_.history(sut).delivered_hash != k_old_credential)
        fleet_.know(sut).delivered_hash = k_old_credential;  // an earlier life has not delivered it
    const auto* known = fleet_.found(sut);
    const bool same = found ? known != nullptr && *known == *found : known == nullptr;
    if (!same || unseen) fleet_.find(sut, std::move(found), now, unseen);
    if (registrar_.credential(sut).empty() && fleet_.found(sut) != nullptr) register_users({sut});
}

void Supervisor::note_summary(const SutName& sut, std::uint64_t number, FoundContainer found, SteadyTime now,
                              bool unseen) {
    if (is_stale(sut, number)) return;
    const auto* known = fleet_.found(sut);
    const bool same = known != nullptr && says_the_same(found, *known);
    const bool closely = !same || known->summary;  // to be looked at
    if (same && !fleet_.history(sut).busy && !unseen) {
        if (!closely) looks_[sut].newest = number;  // otherwise the close look is under way, and is not older than this
        return;
    }
    const auto id = found.id;
    note_one(sut, number, same ? *known : std::move(found), now, unseen);
    if (closely) look_at(sut, id);
}

void Supervisor::note_failed_look(const SutName& sut, const Error& error, SteadyTime now) {
    auto& looks = looks_[sut];
    ++looks.failures;
    if (looks.failures == 1) sys::log(sys::Level::warn, "sut=" + sut.str() + " cannot be looked at: " + error.message);
    looks_again_.emplace(now + with_half_jitter(backoff(k_failed_looks, looks.failures), random01()), sut);
    next_look_ = std::min(next_look_, now + 1s);  // whether the engine is there at all
}

}  // namespace sutfleet
