#pragma once
// The heartbeat file of an agent and the verdict on it: written by agent-entry, judged by healthcheck.
// Pure. Times are nanoseconds of CLOCK_BOOTTIME, which all containers of a host share and nobody can set.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sutfleet {

enum class Health { ok, degraded, unhealthy };

[[nodiscard]] std::string_view to_string(Health health);

struct Heartbeat {
    std::int64_t written_ns = 0;  ///< when the heartbeat thread wrote this
    std::int64_t main_ns = 0;     ///< last tick of the main loop
    std::int64_t pump_ns = 0;     ///< last tick of the output pump
    std::int64_t max_age_ns = 0;  ///< older than this, any of the three is a hang
    Health health = Health::ok;   ///< what the agent says of itself
    std::string why;              ///< one line; empty when ok
    bool operator==(const Heartbeat&) const = default;
};

/// A small text of `key value` lines, at most k_heartbeat_limit bytes.
inline constexpr std::size_t k_heartbeat_limit = 1024;
[[nodiscard]] std::string encode_heartbeat(const Heartbeat& beat);
/// Nothing if the text is not a whole heartbeat.
[[nodiscard]] std::optional<Heartbeat> decode_heartbeat(std::string_view text);

struct HealthVerdict {
    Health health = Health::ok;
    std::string why;  ///< empty when ok
    bool operator==(const HealthVerdict&) const = default;
};

/// The worse of two, with the reasons of both, the worse one's first.
[[nodiscard]] HealthVerdict worst(const HealthVerdict& a, const HealthVerdict& b);

/// What the `why` of an agent that cannot write its logs begins with.
inline constexpr std::string_view k_no_room = "no room for logs";
/// Whether a restart of the agent could cure what its own verdict says. A failed `init` or `renew` would fail again, a
/// full disk would stay full, and both recover by themselves.
[[nodiscard]] bool restart_helps(std::string_view why);

/// A stale heartbeat, main loop or pump is unhealthy, whatever the agent says of itself.
[[nodiscard]] HealthVerdict judge(const Heartbeat& beat, std::int64_t now_ns);

}  // namespace sutfleet
