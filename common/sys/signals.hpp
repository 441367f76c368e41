#pragma once
// Signals as readable events: block them in the first thread (all others inherit that) and read a signalfd.

#include <initializer_list>
#include <optional>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

class Signals {
  public:
    /// Blocks the signals for this thread and those it starts later. Call it first in main().
    static Result<Signals> open(std::initializer_list<int> signals);
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// The next pending signal, if any. Never blocks.
    [[nodiscard]] std::optional<int> take() const;

  private:
    explicit Signals(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sutfleet::sys
