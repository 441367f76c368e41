#pragma once
// What the supervisor did, from its reports (the past) and its events (the present). Pure.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "screen.hpp"

namespace sutfleet::ctl {

struct EventView {
    std::string at, sut, action, reason, result, error;
    unsigned times = 1;
    std::string output;  ///< lines of the engine's, while it makes an image

    [[nodiscard]] std::string line(const Screen& screen) const;
    [[nodiscard]] std::string json() const;
};

/// The history in a payload of `fleet/sut/<sut>`; empty for anything else.
std::vector<EventView> past_events(const std::string& sut, std::string_view report);
/// A payload of `fleet/events`; without `action` when it is none.
EventView parse_event(std::string_view payload);
/// By time, the newest last; at most `tail` of them.
std::vector<EventView> in_order(std::vector<EventView> events, std::size_t tail);

}  // namespace sutfleet::ctl
