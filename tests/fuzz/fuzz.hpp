#pragma once
// What the fuzz targets share. A target is one decoder of what comes from outside; besides not crashing it checks that
// what was decoded comes back the same when it is encoded and decoded again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

/// Ends the run as a finding.
inline void must(bool holds) {
    if (!holds) std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
