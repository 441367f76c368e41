#pragma once
// The program's own log: one line an event on stderr. spdlog stays behind the .cpp. Threads: any.

#include <string_view>

namespace sutfleet::sys {

enum class Level { debug, info, warn, error };

/// Sets the program's name in each line and the least level shown ($SUTFLEET_LOG: debug info warn error).
void start_log(std::string_view program);
void log(Level level, std::string_view message);

}  // namespace sutfleet::sys
