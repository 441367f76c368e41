#include "reconcile.hpp"

#include <algorithm>
#include <array>

#include "core/heartbeat.hpp"

namespace sutfleet {
namespace {

constexpr std::size_t k_changes_told = 5;

/// The decision for one SUT.
class Pass {
  public:
    Pass(std::string_view programs, std::optional<SteadyTime> link_up_since, SteadyTime now)
        : programs_(programs), link_up_since_(link_up_since), now_(now) {}

    Decision look_at(const SutName& sut, const Wanted* wanted, const FoundContainer* found, const History& history) {
        choose(sut, wanted, found, history);
        return std::move(decision_);
    }

  private:
    void choose(const SutName& sut, const Wanted* wanted, const FoundContainer* found, const History& history) {
        if (history.busy) return;
        if (history.not_before > now_) {
            if (!history.failure.empty()) hold(history.failure + "; it is tried again");
            return wake(history.not_before);
        }
        if (found != nullptr && found->status == ContainerStatus::removing) return wake(now_ + std::chrono::seconds{1});
        if (found != nullptr && is_vague(*found)) return;
        if (history.asked.what == Asked::What::purge) return purge(sut, history, found);
        if (wanted == nullptr) return unwanted(sut, history, found);
        switch (wanted->kind) {
            case Wanted::Kind::parked: return parked(sut, history, found);
            case Wanted::Kind::broken: return broken(sut, history, found);
            case Wanted::Kind::run: return run(sut, *wanted, history, found);
        }
    }

    /// Why it ended or what ails it is not in a list: the closer look is under way.
    static bool is_vague(const FoundContainer& found) {
        return found.summary && (found.status == ContainerStatus::exited || found.status == ContainerStatus::dead ||
                                 found.health == EngineHealth::unhealthy);
    }

    void act(Verb verb, const SutName& sut, std::string reason) {
        decision_.action = Action{verb, sut, std::move(reason)};
    }
    void hold(std::string reason) { decision_.hold = std::move(reason); }
    void wait_for_job(const std::string& reason) {
        hold(reason + "; waits for the running job");
        decision_.for_job = true;
        wake(now_ + k_no_job_again);
    }
    void wake(SteadyTime at) { decision_.wake_at = decision_.wake_at ? std::min(*decision_.wake_at, at) : at; }

    static std::string what_changed(const History& history) {
        std::string out;
        std::size_t told = 0;
        for (const auto& one : history.changed) {
            if (told++ == k_changes_told) break;
            out += (out.empty() ? "" : ", ") + one;
        }
        if (told > k_changes_told) out += " and " + std::to_string(history.changed.size() - k_changes_told) + " more";
        return out + " changed";
    }

    static bool runs(const FoundContainer& found) {
        return found.status == ContainerStatus::running || found.status == ContainerStatus::restarting;
    }

    /// A paused container's job goes on when it is resumed. That none runs is believed once the connection has lasted: what a broker
    /// that was killed had retained is older than what its agents have still to say. Of a container that is older than we, nothing
    /// is known without a broker.
    bool waits_for_job(const FoundContainer& found, const History& history, const std::string& reason) {
        if (history.asked.now || (!runs(found) && found.status != ContainerStatus::paused)) return false;
        if (history.job_runs) return wait_for_job(reason), true;
        const bool unknown = link_up_since_ ? now_ - *link_up_since_ < k_agents_are_back : history.from_before && !history.jobs_heard;
        if (!unknown) return false;
        hold(reason + "; waits to hear from the broker whether a job runs");
        if (link_up_since_) wake(*link_up_since_ + k_agents_are_back);
        return true;
    }

    /// A running agent is left with the programs that it has: an upgrade of ours disturbs none. One that ended, or is asked to
    /// restart, gets today's, unless its image is not there to make it from.
    bool gets_other_programs(const History& history, const FoundContainer& found) const {
        return has_other_programs(found, programs_) && !history.image;
    }

    /// @param can_make its conf is sound
    bool is_asked_to_restart(const SutName& sut, const History& history, const FoundContainer& found, bool can_make) {
        if (history.asked.what != Asked::What::restart) return false;
        if (waits_for_job(found, history, "asked to restart")) return true;
        if (can_make && gets_other_programs(history, found))
            act(Verb::recreate, sut, "asked for; it gets this version's programs");
        else
            act(Verb::restart, sut, "asked for");
        return true;
    }

    void purge(const SutName& sut, const History& history, const FoundContainer* found) {
        if (found != nullptr && waits_for_job(*found, history, "asked to purge")) return;
        act(Verb::purge, sut, "asked for");
    }

    /// Without its image nothing is made, and nothing that is there is given up for it.
    bool lacks_image(const History& history) {
        if (!history.image) return false;
        const auto& [what, since] = *history.image;
        if (!since) return hold(what), true;
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now_ - *since);
        hold(what + " for " + std::to_string(seconds.count()) + " s");
        wake(*since + (seconds / k_tell_image + 1) * k_tell_image);
        return true;
    }

    void unwanted(const SutName& sut, const History& history, const FoundContainer* found) {
        if (found == nullptr) return;
        if (waits_for_job(*found, history, "its conf is gone")) return;
        act(Verb::retire, sut, "its conf is gone");
    }

    void parked(const SutName& sut, const History& history, const FoundContainer* found) {
        if (found == nullptr) return;
        if (waits_for_job(*found, history, "enabled: false")) return;
        act(Verb::park, sut, "enabled: false");
    }

    void broken(const SutName& sut, const History& history, const FoundContainer* found) {
        const bool stays = found == nullptr || found->status == ContainerStatus::paused || found->status == ContainerStatus::dead;
        if (!stays && is_asked_to_restart(sut, history, *found, false)) return;
        // A conf with an error changes nothing: not even that a dead agent is started again.
        if (found == nullptr || runs(*found) || found->status == ContainerStatus::paused) return;
        if (found->status == ContainerStatus::dead) return hold("dead, and the conf has an error");
        start_again(sut, history, *found, false);
    }

    void run(const SutName& sut, const Wanted& wanted, const History& history, const FoundContainer* found) {
        if (found == nullptr) {
            if (!lacks_image(history)) act(Verb::create, sut, "no container");
            return;
        }
        const bool reshaped = found->config_hash != wanted.config_hash;
        if (found->status == ContainerStatus::paused) return hold("paused");
        if (reshaped) {
            const auto reason = history.changed.empty() ? std::string("the conf shapes another container")
                                                        : what_changed(history) + ": it shapes another container";
            if (waits_for_job(*found, history, reason) || lacks_image(history)) return;
            return act(Verb::recreate, sut, reason);
        }
        // An engine never starts what it failed to remove.
        if (found->status == ContainerStatus::dead) {
            if (!lacks_image(history) && may_restart(sut, history)) act(Verb::recreate, sut, "the container is dead");
            return;
        }
        if (is_asked_to_restart(sut, history, *found, true)) return;
        if (history.delivered_hash == k_old_credential && !history.image) return act(Verb::deliver, sut, "it gets a new credential");
        if (history.delivered_hash != wanted.delivery_hash && !history.image)
            return act(Verb::deliver, sut, history.changed.empty() ? "the conf or a companion changed" : what_changed(history));
        if (!runs(*found) && history.failures >= k_recreate_after) {
            // What an engine that was killed left of a container can keep it from ever starting again.
            if (!lacks_image(history) && may_restart(sut, history))
                act(Verb::recreate, sut, "it could not be started, " + std::to_string(history.failures) + " times");
            return;
        }
        if (!runs(*found)) return start_again(sut, history, *found, true);
        judge_health(sut, wanted, history, *found);
        if (!decision_.action && decision_.hold.empty()) lacks_image(history);  // what is to be delivered waits for it
    }

    void start_again(const SutName& sut, const History& history, const FoundContainer& found, bool can_make) {
        if (history.ended_unseen && !history.quarantined) return act(Verb::start, sut, "it ended while the engine or the supervisor was away");
        if (!may_restart(sut, history)) return;
        const auto code = found.exit_code ? " with " + std::to_string(*found.exit_code) : std::string();
        if (found.status == ContainerStatus::created) return act(Verb::start, sut, "created, not started");
        const auto ended = "the container ended" + code + (found.oom_killed ? " (out of memory)" : "");
        if (can_make && gets_other_programs(history, found)) return act(Verb::recreate, sut, ended + "; it gets this version's programs");
        act(Verb::start, sut, ended);
    }

    /// Agents that ended together are not started together again: up to a tenth more, for a SUT always the same.
    static std::chrono::milliseconds spread(const SutName& sut, std::chrono::milliseconds delay) {
        const auto share = static_cast<double>(std::hash<std::string>{}(sut.str()) % 1000) / 1000;
        return delay + with_full_jitter(delay / 10, share);
    }

    bool may_restart(const SutName& sut, const History& history) {
        if (history.quarantined) {
            hold("quarantined: " + std::to_string(k_quarantine_after) + " restarts within 30 min; release by resume");
            return false;
        }
        const auto recent = static_cast<unsigned>(std::ranges::count_if(
            history.restarts, [&](SteadyTime at) { return now_ - at < k_restart_window; }));
        // The first restart is at once, the second after the base.
        const auto due = history.restarts.empty() ? now_ : history.restarts.back() + spread(sut, backoff(k_agent_restarts, recent));
        if (recent == 0 || due <= now_) return true;
        hold("restarted " + std::to_string(recent) + " times within 30 min; waits");
        wake(due);
        return false;
    }

    /// Any doubt is put to the agent's own probe, run through the engine, before anything is done: the engine's
    /// word alone can be old (a container that was paused stays unhealthy for a while), and a lost connection is
    /// no hang.
    void judge_health(const SutName& sut, const Wanted& wanted, const History& history, const FoundContainer& found) {
        // Just started, or unpaused: its heartbeat and the engine's word are still those of before.
        if (history.running_since && now_ - *history.running_since < wanted.max_age)
            return wake(*history.running_since + wanted.max_age);
        const auto hushed = silent_since(wanted, history);
        const bool says_unhealthy = history.agent_says.starts_with("unhealthy");
        std::string doubt;
        if (hushed)
            doubt = "no heartbeat on the bus for " + std::to_string(wanted.max_age.count() / 1000) + " s";
        else if (says_unhealthy)
            doubt = history.agent_says;
        else if (found.health == EngineHealth::unhealthy)
            doubt = "unhealthy: " + found.health_log;
        else
            return;
        if (!wanted.restart_on_unhealthy) return hold(doubt);
        if (!hushed && !cured_by_restart(doubt)) return hold(doubt + "; a restart would not help");
        if (!hushed && waits_for_job(found, history, doubt)) return;
        // A probe from before the silence tells nothing about it.
        const auto old = now_ - history.probed_at >= k_probe_again || (hushed && history.probed_at < *hushed);
        if (history.probe == History::Probe::none || old) return act(Verb::probe, sut, doubt);
        if (history.probe == History::Probe::fine) return wake(history.probed_at + k_probe_again);
        // It lives and knows what ails it: only its way to the broker is cut.
        if (!restart_helps(history.probe_said)) return wake(history.probed_at + k_probe_again);
        if (may_restart(sut, history)) act(Verb::restart, sut, "unhealthy: " + history.probe_said);
    }

    static bool cured_by_restart(std::string_view doubt) {
        constexpr std::string_view k_unhealthy = "unhealthy: ";
        if (doubt.starts_with(k_unhealthy)) doubt.remove_prefix(k_unhealthy.size());
        return restart_helps(doubt);
    }

    /// Missing heartbeats mean something only while our own link has been up long enough to hear them.
    std::optional<SteadyTime> silent_since(const Wanted& wanted, const History& history) {
        if (!link_up_since_ || !history.running_since) return std::nullopt;
        const auto listening = *link_up_since_ + wanted.max_age + k_link_settles;
        auto last = std::max(*history.running_since, history.last_beat.value_or(*history.running_since));
        const auto due = last + wanted.max_age;
        const auto since = std::max(due, listening);
        if (now_ >= since) return since;
        wake(since);
        return std::nullopt;
    }

    const std::string_view programs_;
    const std::optional<SteadyTime> link_up_since_;
    const SteadyTime now_;
    Decision decision_;
};

}  // namespace

std::string_view to_string(Verb verb) {
    constexpr std::array<std::string_view, 9> k_names{"create", "start", "restart", "recreate", "deliver",
                                                      "probe",  "park",  "retire",  "purge"};
    return k_names.at(static_cast<std::size_t>(verb));
}

bool has_other_programs(const FoundContainer& found, std::string_view programs) { return !programs.empty() && found.programs != programs; }

Decision decide(const SutName& sut, const Wanted* wanted, const FoundContainer* found, const History& history,
                std::string_view programs, std::optional<SteadyTime> link_up_since, SteadyTime now) {
    return Pass(programs, link_up_since, now).look_at(sut, wanted, found, history);
}

/// A folder that was emptied by mistake must not empty the lab, nor may one that is emptied file by file: what went
/// within the last minute counts, and so does what is yet to go once it is idle.
std::string brake(std::size_t fleet, std::size_t stay, bool released) {
    if (released || fleet < k_brake_from || stay * 2 >= fleet) return {};
    return std::to_string(fleet - stay) + " of " + std::to_string(fleet) + " agents would be removed: held back until `apply`";
}

Plan reconcile(const Observation& observation, SteadyTime now) {
    static const History k_nothing_known;
    const auto stay = static_cast<std::size_t>(std::ranges::count_if(
        observation.found, [&](const auto& one) { return observation.wanted.contains(one.first); }));
    const auto held_back =
        brake(std::max(observation.fleet_before, observation.found.size()), stay, observation.removals_released);
    Plan plan;
    const auto look_at = [&](const SutName& sut, const Wanted* wanted, const FoundContainer* found) {
        const auto known = observation.history.find(sut);
        auto decision = decide(sut, wanted, found, known == observation.history.end() ? k_nothing_known : known->second,
                               observation.programs, observation.link_up_since, now);
        if (decision.action && decision.action->verb == Verb::retire && !held_back.empty()) {
            decision.action.reset();
            decision.hold = held_back;
        }
        if (decision.action) plan.actions.push_back(*std::move(decision.action));
        if (!decision.hold.empty()) plan.holds.push_back({sut, std::move(decision.hold)});
        if (decision.wake_at) plan.wake_at = plan.wake_at ? std::min(*plan.wake_at, *decision.wake_at) : decision.wake_at;
    };
    for (const auto& [sut, wanted] : observation.wanted) {
        const auto found = observation.found.find(sut);
        look_at(sut, &wanted, found == observation.found.end() ? nullptr : &found->second);
    }
    for (const auto& [sut, found] : observation.found)
        if (!observation.wanted.contains(sut)) look_at(sut, nullptr, &found);
    return plan;
}

std::string to_text(const Plan& plan) {
    std::vector<std::pair<SutName, std::string>> lines;
    for (const auto& action : plan.actions)
        lines.emplace_back(action.sut, std::string(to_string(action.verb)) + " " + action.sut.str() + ": " + action.reason + "\n");
    for (const auto& hold : plan.holds) lines.emplace_back(hold.sut, "hold " + hold.sut.str() + ": " + hold.reason + "\n");
    if (lines.empty()) return "nothing to do\n";
    std::ranges::sort(lines);
    std::string out;
    for (const auto& [sut, line] : lines) out += line;
    return out;
}

}  // namespace sutfleet
