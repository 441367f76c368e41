#pragma once
// For how long something has stayed where it is. Pure. Only time in which we ourselves ran counts: an agent that was
// paused, suspended or kept from the processor has seen nothing, and that is no standstill of anybody else.

#include <chrono>
#include <cstdint>

#include "core/timestamp.hpp"

namespace sutfleet::agent {

class Standstill {
  public:
    using Duration = SteadyTime::duration;
    static constexpr std::chrono::seconds k_longest_step{2};  ///< between two looks; a longer gap does not count

    /// It begins anew now.
    void restart(SteadyTime now) {
        looked_ = now;
        for_ = {};
    }
    void look(std::int64_t position, SteadyTime now) {
        const auto step = now - looked_;
        if (position != position_)
            for_ = {};
        else if (step > Duration{} && step <= k_longest_step)
            for_ += step;
        position_ = position;
        looked_ = now;
    }
    [[nodiscard]] Duration length() const { return for_; }

  private:
    std::int64_t position_ = 0;
    SteadyTime looked_{};
    Duration for_{};
};

}  // namespace sutfleet::agent
