#pragma once
// All that is wanted, found and known of every SUT, and which of them need an action. A change touches one SUT, and a
// pass decides for those that were touched or whose time has come: its cost follows what happened, not the fleet's size.
// What it decides is what `reconcile` would of the whole. Pure: no clock, no call, no log.

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "reconcile.hpp"

namespace sutfleet {

/// The supervisor's own word on an agent: "ok", "degraded", "unhealthy", "paused", "down" …, and why.
[[nodiscard]] std::pair<std::string, std::string> judge(const FoundContainer* found, const History& history);

/// The largest of the values that were there within the last `k_window`.
class RecentMax {
  public:
    static constexpr std::chrono::minutes k_window{1};
    void note(std::size_t value, SteadyTime now);
    [[nodiscard]] std::size_t get() const;
    /// When it will be less, if nothing changes.
    [[nodiscard]] std::optional<SteadyTime> falls_at() const;

  private:
    std::size_t current_ = 0;
    std::deque<std::pair<SteadyTime, std::size_t>> old_;  ///< falling values, and when each of them was left
};

class Fleet {
  public:
    enum class Health { ok, degraded, unhealthy, offline, paused, down, unknown };
    static constexpr std::size_t k_healths = 7, k_statuses = 7;
    struct Totals {
        std::size_t agents = 0;  ///< wanted or there
        std::size_t found = 0, stay = 0, parked = 0, broken = 0, quarantined = 0, engine_healthy = 0, ok = 0;
        std::size_t jobs_running = 0, jobs_queued = 0;
        std::array<std::size_t, k_statuses> by_status{};  ///< in the order of ContainerStatus
        std::array<std::size_t, k_healths> by_health{};
        bool operator==(const Totals&) const = default;
    };

    /// @param programs as in Observation
    explicit Fleet(std::string programs = {}) : programs_(std::move(programs)) {}

    // What happened. Each touches its SUT and no other.
    void want(const SutName& sut, std::optional<Wanted> wanted);
    /// @param unseen the first look since the engine was away, or of this supervisor: what ended did so while nobody saw it
    void find(const SutName& sut, std::optional<FoundContainer> found, SteadyTime now, bool unseen = false);
    /// A heartbeat. Only one that ends a silence needs a decision.
    void beat(const SutName& sut, std::string_view says, SteadyTime now);
    History& know(const SutName& sut);
    void touch(const SutName& sut);
    void touch_all();
    void forget(const SutName& sut);
    void link(std::optional<SteadyTime> up_since);
    void release_removals();

    /// Decides for what was touched or is due.
    void decide(SteadyTime now);
    /// The actions to begin now, at most `free`, those whose need is oldest first; their SUTs are busy from then on. A
    /// SUT whose last action failed counts among `free_for_retries` too, so that failing ones leave room for others.
    [[nodiscard]] std::vector<Action> take(std::size_t free, std::size_t free_for_retries);
    [[nodiscard]] std::optional<SteadyTime> wake_at() const;
    /// SUTs of which something to tell changed since the last call.
    [[nodiscard]] std::set<SutName> take_changed() { return std::exchange(changed_, {}); }

    [[nodiscard]] const FoundContainer* found(const SutName& sut) const;
    [[nodiscard]] const Wanted* wanted(const SutName& sut) const;
    [[nodiscard]] const History& history(const SutName& sut) const;
    [[nodiscard]] std::string hold(const SutName& sut) const;
    [[nodiscard]] bool contains(const SutName& sut) const { return entries_.contains(sut); }
    /// What is neither wanted nor there, but known.
    [[nodiscard]] const std::string& programs() const { return programs_; }
    [[nodiscard]] const std::set<SutName>& strays() const { return strays_; }
    [[nodiscard]] const std::set<SutName>& held() const { return held_; }
    /// Those of them that wait for the end of a job.
    [[nodiscard]] const std::set<SutName>& awaiting_job() const { return awaiting_job_; }
    [[nodiscard]] const std::set<SutName>& all_found() const { return found_; }
    [[nodiscard]] const Totals& totals() const { return totals_; }
    /// Actions that wait for their turn.
    [[nodiscard]] std::size_t waiting() const { return fresh_.size() + retries_.size(); }
    /// The whole, as `reconcile` takes it.
    [[nodiscard]] Observation observation() const;

  private:
    struct Entry {
        std::optional<Wanted> wanted;
        std::optional<FoundContainer> found;
        History history;
        std::optional<Action> need;
        std::optional<SteadyTime> need_since;  ///< kept over failures
        bool removal = false;                  ///< retire was decided, whether the brake held it or not
        std::string hold;
        std::optional<SteadyTime> wake_at;
        bool was_counted = false;
        Totals counted;
    };
    using Queue = std::set<std::pair<SteadyTime, SutName>>;

    Entry& at(const SutName& sut) { return entries_[sut]; }
    static Totals count(const Entry& entry);
    void recount(const SutName& sut, Entry& entry);
    void decide(const SutName& sut, Entry& entry, SteadyTime now);
    void drop_need(const SutName& sut, Entry& entry);
    void set_wake(const SutName& sut, Entry& entry, std::optional<SteadyTime> at);
    void look_at_brake(SteadyTime now);

    const std::string programs_;
    std::map<SutName, Entry> entries_;
    std::set<SutName> touched_, changed_, strays_, held_, awaiting_job_, found_, removals_;
    Queue timers_, fresh_, retries_;
    Totals totals_;
    RecentMax size_;
    std::optional<SteadyTime> link_up_since_;
    bool released_ = false;
    std::string brake_;
};

}  // namespace sutfleet
