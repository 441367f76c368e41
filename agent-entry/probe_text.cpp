#include "probe_text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace sutfleet {
namespace {

bool is_plain(char c) { return static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x7f; }

}  // namespace

std::string probe_text(std::string_view state, std::chrono::milliseconds taken, std::string_view why) {
    std::array<char, 32> seconds{};
    std::snprintf(seconds.data(), seconds.size(), "%.2f", static_cast<double>(taken.count()) / 1000);
    std::string out = "state: " + std::string(state) + " | resp_t: " + seconds.data() + " sec";
    if (!why.empty()) out += " | " + std::string(why.substr(0, k_probe_text_limit / 2));
    std::ranges::replace_if(out, [](char c) { return !is_plain(c); }, '?');
    return out;
}

std::string accepted_probe_text(std::string_view written) {
    if (!written.ends_with('\n')) return {};
    written.remove_suffix(1);
    if (written.size() > k_probe_text_limit || !std::ranges::all_of(written, is_plain)) return {};
    for (const std::string_view state : {"ok", "timeout", "error"})
        if (written.starts_with("state: " + std::string(state) + " | resp_t: ")) return std::string(written);
    return {};
}

}  // namespace sutfleet
