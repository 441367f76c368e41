#include "sys/crash_point.hpp"

#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <string>

#include "sys/file.hpp"

namespace sutfleet::sys {
namespace crash {

int armed = 0;

namespace {
constexpr const char* k_variable = "SUTFLEET_CRASH_AT";
std::atomic<int> passed{0};
}  // namespace

void pass(const char* name) {
    if (++passed != armed) return;
    [[maybe_unused]] const auto said = write_all(STDERR_FILENO, "crash point: " + std::string(name) + "\n");
    ::_exit(k_crashed);  // not KILL: PID 1 of a container is deaf to its own
}

}  // namespace crash

void arm_crash_points() {
    const char* text = std::getenv(crash::k_variable);
    if (text == nullptr) return;
    const std::string_view digits(text);
    std::from_chars(digits.data(), digits.data() + digits.size(), crash::armed);
    ::unsetenv(crash::k_variable);
}

}  // namespace sutfleet::sys
