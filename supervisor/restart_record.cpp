#include "restart_record.hpp"

#include <algorithm>

namespace sutfleet {
namespace {

constexpr std::string_view k_quarantined = "quarantined";

}  // namespace

std::string encode_restarts(const History& history, const Moment& now) {
    std::string out;
    if (history.quarantined) out += std::string(k_quarantined) + "\n";
    for (const auto at : history.restarts)
        out += format_rfc3339(now.wall - std::chrono::duration_cast<WallTime::duration>(now.steady - at)) + "\n";
    return out;
}

void decode_restarts(std::string_view text, History& history, const Moment& now) {
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line == k_quarantined) history.quarantined = true;
        const auto at = parse_rfc3339(line);
        if (at && *at <= now.wall && now.wall - *at <= k_restart_window)
            history.restarts.push_back(now.steady - std::chrono::duration_cast<SteadyTime::duration>(now.wall - *at));
    }
    std::ranges::sort(history.restarts);
}

}  // namespace sutfleet
