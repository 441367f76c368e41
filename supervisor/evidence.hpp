#pragma once
// What was seen of an agent before it was restarted: kept in the state folder and shown on `fleet/sut/<sut>`. Pure.

#include <string>

namespace sutfleet {

struct Evidence {
    std::string at;
    std::string why;
    std::string health_log;  ///< the engine's last probe
    std::string output;      ///< the newest lines of the container
};

[[nodiscard]] std::string encode_evidence(const Evidence& evidence);  ///< JSON

}  // namespace sutfleet
