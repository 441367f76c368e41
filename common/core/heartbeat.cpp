#include "core/heartbeat.hpp"

#include <charconv>
#include <limits>

namespace sutfleet {
namespace {

constexpr std::string_view k_magic = "sutfleet-heartbeat 1\n";
constexpr std::string_view k_end = "end\n";
constexpr std::size_t k_why_limit = 512;

/// Takes `key value\n` from the front of the text.
std::optional<std::string_view> take(std::string_view& text, std::string_view key) {
    if (!text.starts_with(key) || text.size() <= key.size() || text[key.size()] != ' ')
        return std::nullopt;
    text.remove_prefix(key.size() + 1);
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const auto value = text.substr(0, end);
    text.remove_prefix(end + 1);
    return value;
}

bool take_number(std::string_view& text, std::string_view key, std::int64_t& into) {
    const auto value = take(text, key);
    if (!value) return false;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), into);
    return error == std::errc{} && end == value->data() + value->size();
}

/// Limited instead of overflowing: the numbers come from a file.
std::int64_t age(std::int64_t now, std::int64_t then) {
    std::int64_t out = 0;
    if (!__builtin_sub_overflow(now, then, &out)) return out;
    return then < 0 ? std::numeric_limits<std::int64_t>::max() : std::numeric_limits<std::int64_t>::min();
}

std::string seconds(std::int64_t ns) { return std::to_string(ns / 1'000'000'000) + " s"; }

}  // namespace

std::string_view to_string(Health health) {
    switch (health) {
        case Health::ok: return "ok";
        case Health::degraded: return "degraded";
        case Health::unhealthy: return "unhealthy";
    }
    return "unhealthy";
}

std::string encode_heartbeat(const Heartbeat& beat) {
    std::string why = beat.why.substr(0, k_why_limit);
    for (char& c : why)
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
    std::string out(k_magic);
    const auto line = [&](std::string_view key, std::string_view value) {
        out.append(key).append(" ").append(value).append("\n");
    };
    line("written", std::to_string(beat.written_ns));
    line("main", std::to_string(beat.main_ns));
    line("pump", std::to_string(beat.pump_ns));
    line("max_age", std::to_string(beat.max_age_ns));
    line("health", to_string(beat.health));
    line("why", why);
    return out.append(k_end);
}

std::optional<Heartbeat> decode_heartbeat(std::string_view text) {
    if (text.size() > k_heartbeat_limit || !text.starts_with(k_magic)) return std::nullopt;
    text.remove_prefix(k_magic.size());
    Heartbeat beat;
    if (!take_number(text, "written", beat.written_ns) || !take_number(text, "main", beat.main_ns) ||
        !take_number(text, "pump", beat.pump_ns) || !take_number(text, "max_age", beat.max_age_ns))
        return std::nullopt;
    const auto health = take(text, "health");
    const auto why = take(text, "why");
    if (!health || !why || text != k_end) return std::nullopt;
    bool known = false;
    for (const auto candidate : {Health::ok, Health::degraded, Health::unhealthy})
        if (*health == to_string(candidate)) beat.health = candidate, known = true;
    if (!known) return std::nullopt;
    beat.why = *why;
    return beat;
}

HealthVerdict worst(const HealthVerdict& a, const HealthVerdict& b) {
    if (b.health > a.health) return worst(b, a);
    const bool both = !a.why.empty() && !b.why.empty();
    return {a.health, a.why + (both ? "; " : "") + b.why};
}

bool restart_helps(std::string_view why) {
    return !why.starts_with("init ") && !why.starts_with("renew ") && !why.starts_with(k_no_room);
}

HealthVerdict judge(const Heartbeat& beat, std::int64_t now_ns) {
    const auto stale = [&](std::int64_t then) { return age(now_ns, then) > beat.max_age_ns; };
    const auto says = [&](std::string_view what, std::int64_t then) {
        return HealthVerdict{Health::unhealthy, std::string(what) + " for " + seconds(age(now_ns, then)) +
                                                    ", allowed are " + seconds(beat.max_age_ns)};
    };
    if (stale(beat.written_ns)) return says("no heartbeat", beat.written_ns);
    if (stale(beat.main_ns)) return says("the main loop has not moved", beat.main_ns);
    if (stale(beat.pump_ns)) return says("the output pump has not moved", beat.pump_ns);
    return {beat.health, beat.why};
}

}  // namespace sutfleet
