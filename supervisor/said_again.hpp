#pragma once
// What agents only say again: at each heartbeat an agent repeats the same words. Kept from the supervisor's loop where they
// come in, so that they wake nobody; the loop asks for them when it turns for another reason. Threads: `take` on the
// session's, the rest on the owner's.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "core/ids.hpp"
#include "core/timestamp.hpp"
#include "core/topics.hpp"
#include "mqtt/session.hpp"

namespace sutfleet {

class SaidAgain {
  public:
    struct Beat {
        std::string says;
        SteadyTime at;
    };

    explicit SaidAgain(const Topics& topics) : topics_(topics) {}

    /// @return whether an agent said only what it had said before, over the same connection
    bool take(const mqtt::Message& message, SteadyTime now);
    /// The heartbeats among them since the last call, of each SUT the newest.
    [[nodiscard]] std::map<SutName, Beat> beats();
    /// What it says next is new.
    void forget(const SutName& sut);
    void forget_all();

  private:
    const Topics& topics_;
    std::mutex mutex_;  ///< guards all below
    std::uint64_t connection_ = 0;
    std::map<SutName, std::map<std::string, std::string>> said_;  ///< by level
    std::map<SutName, Beat> beats_;
};

}  // namespace sutfleet
