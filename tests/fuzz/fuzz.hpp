#pragma once
// What every target shares: libFuzzer's entry point as a text, and a check that also counts in a release build.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

inline void must(bool holds) {
    if (!holds) std::abort();
}

void fuzz(std::string_view text);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz({reinterpret_cast<const char*>(data), size});
    return 0;
}
