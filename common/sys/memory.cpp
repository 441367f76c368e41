#include "sys/memory.hpp"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace sutfleet::sys {
namespace {

int release(dl_phdr_info* object, std::size_t, void*) {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const auto& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
        const auto begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const auto end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        // Advice: where it is refused, nothing is lost but memory.
        ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
}

}  // namespace

void release_start_pages() { ::dl_iterate_phdr(release, nullptr); }

}  // namespace sutfleet::sys
