#pragma once
// What is published of a probe: `state: ok | resp_t: 0.21 sec`. Written by http-probe and, where that cannot say it
// any more, by the agent. Pure.

#include <chrono>
#include <string>
#include <string_view>

namespace sutfleet {

inline constexpr std::size_t k_probe_text_limit = 512;

/// `state` is ok, timeout or error; `why` is one line, or empty.
[[nodiscard]] std::string probe_text(std::string_view state, std::chrono::milliseconds taken, std::string_view why = {});

/// What http-probe wrote, if it is whole and as it should be; empty otherwise.
[[nodiscard]] std::string accepted_probe_text(std::string_view written);

}  // namespace sutfleet
