#include "core/timestamp.hpp"

#include <array>
#include <cstdio>

namespace sutfleet {

std::string format_rfc3339(WallTime time) {
    using namespace std::chrono;
    const auto ms = floor<milliseconds>(time);
    const auto day = floor<days>(ms);
    const year_month_day date{day};
    const hh_mm_ss clock{ms - day};
    std::array<char, 40> text{};
    const int length = std::snprintf(
        text.data(), text.size(), "%04d-%02u-%02uT%02lld:%02lld:%02lld.%03lldZ", int(date.year()),
        unsigned(date.month()), unsigned(date.day()), static_cast<long long>(clock.hours().count()),
        static_cast<long long>(clock.minutes().count()), static_cast<long long>(clock.seconds().count()),
        static_cast<long long>(clock.subseconds().count()));
    return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    constexpr std::string_view k_form = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (text.size() != k_form.size()) return std::nullopt;
    for (std::size_t i = 0; i < k_form.size(); ++i)
        if (k_form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != k_form[i]) return std::nullopt;
    const auto number = [&](std::size_t at, std::size_t digits) {
        int value = 0;
        for (std::size_t i = at; i < at + digits; ++i) value = value * 10 + (text[i] - '0');
        return value;
    };
    const year_month_day date{year{number(0, 4)}, month{static_cast<unsigned>(number(5, 2))}, day{static_cast<unsigned>(number(8, 2))}};
    if (!date.ok()) return std::nullopt;
    // The clock's nanoseconds reach from 1677 to 2262.
    if (date.year() < year{1700} || date.year() > year{2200}) return std::nullopt;
    return sys_days{date} + hours{number(11, 2)} + minutes{number(14, 2)} + seconds{number(17, 2)} + milliseconds{number(20, 3)};
}

}  // namespace sutfleet
