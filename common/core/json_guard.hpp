#pragma once
// What must be asked of foreign JSON beyond that it is JSON. Pure; knows no JSON library.

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace sutfleet {

/// More than any payload needs, and far from what would overflow a stack: copying and writing JSON recurse.
inline constexpr int k_json_depth = 64;

/// Brackets within texts do not count. Of what is not JSON, any answer will do.
[[nodiscard]] inline bool too_deep(std::string_view json) {
    int depth = 0;
    bool in_text = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (c == '"') in_text = !in_text;
        if (in_text && c == '\\') ++i;
        if (in_text) continue;
        if (c == '{' || c == '[') ++depth;
        if (c == '}' || c == ']') --depth;
        if (depth > k_json_depth) return true;
    }
    return false;
}

/// @throws std::out_of_range unless it is a whole number that fits: the library itself would convert anything.
template <std::integral Int, class Json>
Int integer_of(const Json& value) {
    if (value.is_number_unsigned()) {
        const auto number = value.template get<std::uint64_t>();
        if (std::in_range<Int>(number)) return static_cast<Int>(number);
    } else if (value.is_number_integer()) {
        const auto number = value.template get<std::int64_t>();
        if (std::in_range<Int>(number)) return static_cast<Int>(number);
    }
    throw std::out_of_range("expected a whole number in its range");
}

}  // namespace sutfleet
