#pragma once
// What was seen of an agent before it was started again: kept in the state folder and shown on `fleet/sut/<sut>`. Pure.

#include <optional>
#include <string>

namespace sutfleet {

struct Evidence {
    std::string at;
    std::string why;
    std::string health_log;  ///< the engine's last probe
    std::string output;      ///< the newest lines of the container
    std::optional<int> exit_code{};  ///< of one that has ended
};

[[nodiscard]] std::string encode_evidence(const Evidence& evidence);  ///< JSON

}  // namespace sutfleet
