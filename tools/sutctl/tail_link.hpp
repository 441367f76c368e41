#pragma once
// Asks an agent for pieces of a log (`cmd/tail`) over a Link, and knows the answers from other ones. One question at a
// time. Used by one thread.

#include <cstdint>
#include <optional>
#include <string>

#include "core/topics.hpp"
#include "link.hpp"

namespace sutfleet::ctl {

struct LogPiece {
    std::string bytes;
    std::uint64_t offset = 0;
    std::uint64_t end = 0;  ///< of the log
    std::string boot;       ///< of the agent
    [[nodiscard]] std::uint64_t next() const { return offset + bytes.size(); }
};

class TailLink {
  public:
    /// @param job empty: the agent's log
    TailLink(const Topics& topics, const SutName& sut, std::string job);

    [[nodiscard]] const std::string& topic() const { return topic_; }
    /// From `offset` on; nothing: the last ones. @return false when the broker is away
    Outcome<bool> ask(Link& link, std::optional<std::uint64_t> offset, std::size_t bytes);
    /// Whether an answer is awaited, and for how long.
    [[nodiscard]] std::optional<SteadyTime> deadline() const { return deadline_; }
    void give_up() { deadline_.reset(); }
    /// @return nothing for what is no answer to the question; a Failure with the agent's reason; or the piece
    std::optional<Outcome<LogPiece>> hear(const std::string& payload);

  private:
    const std::string command_, topic_, job_;
    std::string transaction_;
    std::optional<SteadyTime> deadline_;
};

}  // namespace sutfleet::ctl
