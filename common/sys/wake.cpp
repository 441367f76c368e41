#include "sys/wake.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <cstdint>

namespace sutfleet::sys {

Result<Wake> Wake::open() {
    UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!fd) return fail(errno_error("eventfd", errno));
    return Wake(std::move(fd));
}

void Wake::notify() const noexcept {
    const std::uint64_t one = 1;
    // A full counter already says "look again".
    [[maybe_unused]] const auto written = ::write(fd_.get(), &one, sizeof one);
}

void Wake::clear() const noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(fd_.get(), &count, sizeof count);
}

}  // namespace sutfleet::sys
