#include "core/one_line.hpp"

#include <algorithm>

namespace sutfleet {
namespace {

constexpr std::string_view k_cut = "…";

bool follows(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

/// Bytes of the character that the text begins with; 0: it is none.
std::size_t character(std::string_view text) {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto first = at(0);
    if (first < 0x80) return 1;
    const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || text.size() < size) return 0;
    for (std::size_t i = 1; i < size; ++i)
        if (!follows(text[i])) return 0;
    const bool too_long = (first == 0xE0 && at(1) < 0xA0) || (first == 0xF0 && at(1) < 0x90);
    const bool surrogate = first == 0xED && at(1) > 0x9F;
    const bool beyond = first == 0xF4 && at(1) > 0x8F;
    return too_long || surrogate || beyond ? 0 : size;
}

}  // namespace

bool is_utf8(std::string_view text) {
    // Nearly all output is ASCII.
    if (std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; })) return true;
    while (!text.empty()) {
        const auto size = character(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

std::string as_utf8(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    while (!bytes.empty()) {
        const auto size = character(bytes);
        size == 0 ? out.append("?") : out.append(bytes.substr(0, size));
        bytes.remove_prefix(std::max<std::size_t>(size, 1));
    }
    return out;
}

std::string one_line(std::string_view bytes, std::size_t limit) {
    auto out = as_utf8(bytes.substr(0, limit + 1));
    for (char& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    if (bytes.size() <= limit) return out;
    auto end = limit < k_cut.size() ? 0 : limit - k_cut.size();
    while (end > 0 && follows(out[end])) --end;
    return out.substr(0, end).append(limit < k_cut.size() ? "" : k_cut);
}

}  // namespace sutfleet
