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

}  // namespace sutfleet
