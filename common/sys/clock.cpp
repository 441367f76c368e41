#include "sys/clock.hpp"

#include <ctime>

namespace sutfleet::sys {

std::int64_t boot_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace sutfleet::sys
