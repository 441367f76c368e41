#pragma once
// The supervisor's one decision: what to do, given what is wanted, what was found, what is known, and the time.
// Pure: no clock, no call, no log. At most one action for a SUT in a pass; after it, one looks again.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/backoff.hpp"
#include "core/ids.hpp"
#include "core/timestamp.hpp"
#include "engine.hpp"

namespace sutfleet {

/// What one conf asks for.
struct Wanted {
    enum class Kind { run, parked, broken };
    Kind kind = Kind::run;
    std::string config_hash;    ///< of what shapes the container
    std::string delivery_hash;  ///< of what is delivered into it
    std::chrono::milliseconds max_age{std::chrono::seconds{20}};
    bool restart_on_unhealthy = true;
    bool operator==(const Wanted&) const = default;
};

/// Why a SUT has to wait for its context's image, and since when that goes on: "building image lab/agent:1".
struct ImageWait {
    std::string what;
    std::optional<SteadyTime> since;
    bool operator==(const ImageWait&) const = default;
};

/// What a person asked for and what is not done yet.
struct Asked {
    enum class What { nothing, restart, purge } what = What::nothing;
    bool now = false;  ///< also while a job runs
    bool operator==(const Asked&) const = default;
};

/// In place of the hash of what was delivered: the agent has not got its new credential yet.
inline constexpr const char* k_old_credential = "old credential";

/// What the supervisor remembers of one SUT.
struct History {
    bool busy = false;  ///< an action of ours is under way
    std::string delivered_hash;
    std::set<std::string> changed;  ///< of what is wanted, since the agent got it, as far as that is known
    bool job_runs = false;
    bool from_before = false;  ///< its container is older than this life of ours
    bool jobs_heard = false;   ///< the agent's word on them, in this life
    std::size_t jobs_queued = 0;
    std::string agent_says;  ///< the newest payload of `<sut>/agent`
    std::optional<SteadyTime> last_beat;
    std::optional<SteadyTime> running_since;
    std::vector<SteadyTime> restarts;
    bool quarantined = false;
    /// It was found ended after the engine had been away, or while no supervisor was there, which an engine that was killed takes
    /// with it: not its own fault.
    bool ended_unseen = false;
    unsigned failures = 0;  ///< of actions, in a row
    std::string failure;    ///< the last of them, for people; empty after a success
    SteadyTime not_before{};
    enum class Probe { none, fine, failed } probe = Probe::none;
    std::string probe_said;
    SteadyTime probed_at{};
    std::optional<ImageWait> image;  ///< it is not there
    Asked asked;
};

struct Observation {
    std::map<SutName, Wanted> wanted;
    std::map<SutName, FoundContainer> found;
    std::map<SutName, History> history;
    std::optional<SteadyTime> link_up_since;  ///< of the supervisor's own connection to the broker
    std::size_t fleet_before = 0;             ///< the largest fleet of the last minute
    bool removals_released = false;           ///< by `apply`
    std::string programs;                     ///< the build of the agents' programs that we have; empty: not known
};

/// Only `purge` takes the state volume away.
enum class Verb { create, start, restart, recreate, deliver, probe, park, retire, purge };
[[nodiscard]] std::string_view to_string(Verb verb);

struct Action {
    Verb verb;
    SutName sut;
    std::string reason;
    bool operator==(const Action&) const = default;
};

/// Why a SUT is not acted on although something differs; shown to people.
struct Hold {
    SutName sut;
    std::string reason;
    bool operator==(const Hold&) const = default;
};

struct Plan {
    std::vector<Action> actions;
    std::vector<Hold> holds;
    std::optional<SteadyTime> wake_at;
};

/// What is to be done for one SUT: an action, or why there is none, or nothing; and when its time comes.
struct Decision {
    std::optional<Action> action;
    std::string hold;
    bool for_job = false;  ///< held by the running job: the agent is to start none behind it
    std::optional<SteadyTime> wake_at;
};
/// Whether it was made with a build of the agent's programs that is not ours; `programs` as in Observation.
[[nodiscard]] bool has_other_programs(const FoundContainer& found, std::string_view programs);
/// `wanted` and `found` are null for what is not there; `programs` and `link_up_since` as in Observation.
[[nodiscard]] Decision decide(const SutName& sut, const Wanted* wanted, const FoundContainer* found, const History& history,
                              std::string_view programs, std::optional<SteadyTime> link_up_since, SteadyTime now);
/// Why removals are held back when only `stay` of `fleet` agents would remain; empty when they are not.
[[nodiscard]] std::string brake(std::size_t fleet, std::size_t stay, bool released);

/// The decision for a whole fleet at once.
[[nodiscard]] Plan reconcile(const Observation& observation, SteadyTime now);
/// One line for each action and hold, sorted by SUT: "create alpha: no container".
[[nodiscard]] std::string to_text(const Plan& plan);

inline constexpr BackoffPolicy k_agent_restarts{std::chrono::seconds{10}, std::chrono::minutes{5}};
inline constexpr BackoffPolicy k_failed_actions{std::chrono::seconds{1}, std::chrono::minutes{1}};
inline constexpr BackoffPolicy k_hopeless_actions{std::chrono::seconds{10}, std::chrono::minutes{5}};
inline constexpr std::chrono::minutes k_restart_window{30};
inline constexpr std::size_t k_quarantine_after = 5;  ///< restarts within the window
inline constexpr unsigned k_recreate_after = 2;       ///< starts that failed, in a row
inline constexpr std::chrono::seconds k_link_settles{10};
inline constexpr std::chrono::seconds k_agents_are_back{20};  ///< after us, at most: a connection of theirs can take 10 s, and a try comes every 5 s
inline constexpr std::chrono::seconds k_probe_again{2};
/// How long an agent that was told to starts no job, and how often it is told again while there is a reason.
inline constexpr std::chrono::seconds k_no_job_for{60}, k_no_job_again{20};
inline constexpr std::chrono::seconds k_tell_image{5};  ///< how often one says how long it has waited
inline constexpr std::size_t k_brake_from = 4;  ///< agents; a smaller fleet has no brake

}  // namespace sutfleet
