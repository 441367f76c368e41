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
std::string wanted;  ///< empty: any
std::atomic<int> passed{0};
}  // namespace

void pass(const char* name) {
    if ((!wanted.empty() && wanted != name) || ++passed != armed) return;
    [[maybe_unused]] const auto said = write_all(STDERR_FILENO, "crash point: " + std::string(name) + "\n");
    ::_exit(k_crashed);  // not KILL: PID 1 of a container is deaf to its own
}

}  // namespace crash

void arm_crash_points() {
    const char* text = std::getenv(crash::k_variable);
    if (text == nullptr) return;
    const std::string value(text);
    std::from_chars(value.data(), value.data() + value.size(), crash::armed);
    if (const auto space = value.find(' '); space != std::string::npos) crash::wanted = value.substr(space + 1);
    ::unsetenv(crash::k_variable);
}

}  // namespace sutfleet::sys
