#pragma once
// A line of the benchmark: its number, when it was written (zeros where nobody asks), and filling up to its length.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace sutfleet::bench {

inline constexpr std::size_t k_number = 9;    ///< digits
inline constexpr std::size_t k_stamp = 19;    ///< digits: nanoseconds
inline constexpr std::size_t k_stamped = 40;  ///< the least length, with the newline, of a line with a stamp

inline std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline void put_digits(char* at, std::size_t count, std::uint64_t value) {
    for (; count > 0; value /= 10) at[--count] = static_cast<char>('0' + value % 10);
}

inline std::uint64_t digits(std::string_view text) {
    std::uint64_t value = 0;
    for (const char c : text) value = value * 10 + static_cast<std::uint64_t>(c - '0');
    return value;
}

/// `line` has `size` bytes, of which only the newline and the filling are there already.
inline void put_line(char* line, std::size_t size, std::uint64_t number, std::int64_t stamp) {
    put_digits(line, k_number, number);
    if (size >= k_stamped) put_digits(line + k_number + 1, k_stamp, static_cast<std::uint64_t>(stamp));
}

}  // namespace sutfleet::bench
