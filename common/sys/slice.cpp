#include "sys/slice.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace sutfleet::sys {
namespace {

/// As sched_setattr(2) has it in its first version; glibc has neither the calls nor the structure.
struct Attributes {
    std::uint32_t size;
    std::uint32_t policy;
    std::uint64_t flags;
    std::int32_t nice;
    std::uint32_t priority;
    std::uint64_t runtime;  ///< ns; of an ordinary thread its slice
    std::uint64_t deadline;
    std::uint64_t period;
};

bool read(pid_t process, Attributes& into) { return ::syscall(SYS_sched_getattr, process, &into, sizeof into, 0) == 0; }

}  // namespace

void set_slice(Slice slice) {
    Attributes attributes{};
    if (!read(0, attributes)) return;
    attributes.runtime = static_cast<std::uint64_t>(slice.count());
    ::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

Slice slice_of(pid_t process) {
    Attributes attributes{};
    return Slice(read(process, attributes) ? attributes.runtime : 0);
}

}  // namespace sutfleet::sys
