#pragma once
// Reads `alpha/output` as a program would that must not lose a byte: puts each stream together by its user properties.

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "mqtt/session.hpp"

namespace sutfleet::test {

class OutputReader {
  public:
    /// Returns when it is subscribed; the broker keeps what comes while it is away.
    explicit OutputReader(const std::string& broker_url);

    struct Stream {
        std::string bytes;            ///< from `begin` on, without what is missing
        std::uint64_t begin = 0;      ///< offset of the first byte that came
        std::uint64_t end = 0;
        std::uint64_t missing = 0;    ///< bytes between what came
        std::uint64_t dropped = 0;    ///< as the newest message says
        std::size_t messages = 0;
        std::size_t contradictions = 0;  ///< a repeat with other bytes, or without offset
    };
    /// Of a job, or of the command (empty) in the newest life of the agent that was heard of.
    const Stream& stream(const std::string& job = {});
    [[nodiscard]] std::size_t empty_payloads() const { return empty_payloads_; }
    [[nodiscard]] const std::string& newest() const { return newest_; }

  private:
    void hear();
    void take(const mqtt::Message& message);

    sys::Wake wake_;
    std::unique_ptr<mqtt::Session> session_;
    std::map<std::string, Stream> streams_;
    std::string boot_, newest_;
    std::size_t empty_payloads_ = 0;
};

}  // namespace sutfleet::test
