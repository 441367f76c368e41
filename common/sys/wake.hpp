#pragma once
// An eventfd that says "look again". Any thread notifies; the owner polls fd() and clears it before it
// looks. Notifying twice is the same as once; it never blocks.

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

class Wake {
  public:
    static Result<Wake> open();
    void notify() const noexcept;
    void clear() const noexcept;
    [[nodiscard]] int fd() const { return fd_.get(); }

  private:
    explicit Wake(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sutfleet::sys
