#pragma once
// Exponential backoff with jitter, as a function of how often something failed. Pure: the random number
// is passed in.

#include <algorithm>
#include <chrono>

namespace sutfleet {

struct BackoffPolicy {
    std::chrono::milliseconds base;
    std::chrono::milliseconds cap;
};

/// base, 2 base, 4 base … at most cap, for failures = 1, 2, 3 …; zero for no failure.
[[nodiscard]] constexpr std::chrono::milliseconds backoff(BackoffPolicy policy, unsigned failures) {
    if (failures == 0) return std::chrono::milliseconds{0};
    const unsigned doublings = std::min(failures - 1, 40U);
    if (policy.base.count() > (policy.cap.count() >> doublings)) return policy.cap;
    return std::chrono::milliseconds(policy.base.count() << doublings);
}

/// Full jitter: a share of the delay, `random01` in [0, 1). Clients that lost one broker come back spread out.
[[nodiscard]] constexpr std::chrono::milliseconds with_full_jitter(std::chrono::milliseconds delay,
                                                                   double random01) {
    return std::chrono::milliseconds(
        static_cast<std::chrono::milliseconds::rep>(static_cast<double>(delay.count()) * random01));
}

/// Half of the delay and a share of the other half: what failed together is not tried again together, nor at once.
[[nodiscard]] constexpr std::chrono::milliseconds with_half_jitter(std::chrono::milliseconds delay, double random01) {
    return delay / 2 + with_full_jitter(delay - delay / 2, random01);
}

}  // namespace sutfleet
