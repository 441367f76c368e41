#pragma once
// The exit codes of sutctl, which scripts rely on, and a failure that carries one.

#include <string>
#include <tl/expected.hpp>

namespace sutfleet::ctl {

enum Exit : int {
    k_ok = 0,
    k_failed = 1,
    k_usage = 2,
    k_unreachable = 3,  ///< the broker or the daemon
    k_refused = 4,
    k_timed_out = 124,
    k_interrupted = 130,
};

struct Failure {
    int exit = k_failed;
    std::string message;  ///< empty: nothing more to say
};

template <class T = void>
using Outcome = tl::expected<T, Failure>;

}  // namespace sutfleet::ctl
