#include "core/secret_rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace sutfleet {

bool is_secret_key(std::string_view key) {
    const auto is_word = [](unsigned char c) { return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; };
    return !key.empty() && key.size() <= 64 && (key.front() < '0' || key.front() > '9') && std::ranges::all_of(key, is_word);
}

bool is_placeholder(std::string_view value) {
    constexpr std::array<std::string_view, 8> k_words{"updateme", "changeme", "replaceme", "fillme", "placeholder", "todo", "fixme", "yoursecrethere"};
    constexpr std::size_t k_longest = 40;
    std::string letters;
    bool only_space = true;
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        only_space = only_space && std::isspace(byte) != 0;
        if (std::isalnum(byte) != 0 && letters.size() <= k_longest) letters += static_cast<char>(std::tolower(byte));
    }
    return only_space || (value.size() <= k_longest && std::ranges::find(k_words, letters) != k_words.end());
}

}  // namespace sutfleet
