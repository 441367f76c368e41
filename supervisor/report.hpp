#pragma once
// What the supervisor publishes, as JSON. Pure.

#include <optional>
#include <string>
#include <vector>

#include "action_history.hpp"
#include "confs.hpp"
#include "evidence.hpp"
#include "reconcile.hpp"

namespace sutfleet {

struct LastAction {
    std::string what, why, at, result;  ///< result: "ok" or the error
};

/// `fleet/sut/<sut>`
struct SutReport {
    std::string sut;
    std::string wanted;  ///< running, parked, gone
    std::string file, error;
    const SutConf* conf = nullptr;
    const FoundContainer* found = nullptr;
    bool other_programs = false;  ///< made with the agent's programs of another version
    std::size_t restarts = 0;
    bool quarantined = false;
    std::string agent;
    std::string hold;
    std::string health;      ///< the supervisor's verdict: ok, degraded, unhealthy, paused, unreachable …
    std::string health_why;
    std::optional<LastAction> last_action;
    std::string evidence;  ///< JSON; empty: none
    std::vector<PastAction> history;  ///< newest first
};

struct FleetReport {
    std::size_t agents = 0, running = 0, healthy = 0, ok = 0, errors = 0, parked = 0, quarantined = 0;
    std::string engine;  ///< "ok" or why not
    std::string broker;  ///< "ok", or "degraded: " and why
    std::string certificate;  ///< of the broker: "until <date>", "none", or "degraded: " and why
    std::vector<std::string> complaints;
    std::vector<std::string> held;
};

struct Event {
    std::string at, sut, action, reason, result, error;
    std::string output;  ///< lines of what the engine says while it makes an image
};

[[nodiscard]] std::string encode(const SutReport& report);
/// The history in an earlier `fleet/sut/<sut>`; empty for anything that has none.
[[nodiscard]] std::vector<PastAction> decode_history(std::string_view report);
/// The evidence in it, as JSON; empty when there is none.
[[nodiscard]] std::string decode_evidence(std::string_view report);
[[nodiscard]] std::string encode(const FleetReport& report);
[[nodiscard]] std::string encode(const Event& event);
/// `{"status","data","error","transaction"}` of `fleet/res/<verb>`.
[[nodiscard]] std::string encode_answer(const Result<std::string>& outcome, const std::string& request);
/// What a command is about: the bare payload, or `argument` of an object.
[[nodiscard]] std::string argument_of(const std::string& request);
/// Whether `<sut>/jobs` says that a job runs; a payload that is no such JSON says no.
[[nodiscard]] bool job_runs(std::string_view jobs_payload);
/// How many it says wait.
[[nodiscard]] std::size_t jobs_queued(std::string_view jobs_payload);

}  // namespace sutfleet
