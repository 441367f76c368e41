#pragma once
// Who submitted a job. Pure.

#include <cstddef>
#include <string>

namespace sutfleet {

inline constexpr std::size_t k_submitter_limit = 100;  ///< bytes of each part
/// The MQTT 5 user property by which the broker's plugin tells the user.
inline constexpr const char* k_submitted_by_user = "submitted-by-user";

struct Submitter {
    std::string user{};  ///< the broker's user: the broker has checked him and said so; empty: it did not say
    std::string name{};  ///< what the submit says of itself: a hint that nobody has checked; empty: nothing
    [[nodiscard]] bool empty() const { return user.empty() && name.empty(); }
    bool operator==(const Submitter&) const = default;
};

}  // namespace sutfleet
