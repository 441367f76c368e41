#include "core/duration.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace sutfleet {
namespace {

struct Unit {
    std::string_view suffix;
    long long ms;
};
constexpr std::array<Unit, 5> k_units{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr double k_max_ms = 10.0 * 366 * 86'400'000;

}  // namespace

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorKind::invalid_input, "'" + std::string(text.substr(0, 40)) +
                                                  "' is not a duration: expected e.g. 500ms, 10s, 15m, "
                                                  "4h, 2d or a number of seconds");
    };
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error != std::errc{} || !std::isfinite(number) || std::signbit(number)) return bad();
    const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
    double scale = suffix.empty() ? 1'000 : 0;
    for (const auto& unit : k_units)
        if (unit.suffix == suffix) scale = static_cast<double>(unit.ms);
    if (scale == 0 || number * scale > k_max_ms) return bad();
    return std::chrono::milliseconds(std::llround(number * scale));
}

std::string format_duration(std::chrono::milliseconds value) {
    for (const auto& unit : k_units)
        if (value.count() != 0 && value.count() % unit.ms == 0)
            return std::to_string(value.count() / unit.ms) + std::string(unit.suffix);
    return "0s";
}

}  // namespace sutfleet
