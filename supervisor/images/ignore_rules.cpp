#include "ignore_rules.hpp"

#include <algorithm>
#include <optional>

namespace sutfleet {
namespace {

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view k_blank = " \t\r";
    const auto first = text.find_first_not_of(k_blank);
    return first == std::string_view::npos ? std::string_view() : text.substr(first, text.find_last_not_of(k_blank) - first + 1);
}

/// "." and empty names tell nothing, ".." goes up as far as there is something.
std::vector<std::string> parts_of(std::string_view path) {
    std::vector<std::string> out;
    while (!path.empty()) {
        const auto part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(path.size(), part.size() + 1));
        if (part.empty() || part == ".") continue;
        if (part != "..")
            out.emplace_back(part);
        else if (!out.empty())
            out.pop_back();
    }
    return out;
}

/// Whether the pattern's beginning fits one character of the name. @return how long that beginning is; none: it does not
std::optional<std::size_t> fit_one(std::string_view pattern, char c) {
    if (pattern.empty()) return std::nullopt;
    if (pattern.front() == '?') return 1U;
    if (pattern.front() == '\\' && pattern.size() > 1) return pattern[1] == c ? std::optional<std::size_t>(2) : std::nullopt;
    const auto end = pattern.front() == '[' ? pattern.find(']', 2) : std::string_view::npos;
    if (end == std::string_view::npos) return pattern.front() == c ? std::optional<std::size_t>(1) : std::nullopt;
    auto set = pattern.substr(1, end - 1);
    const bool other = set.front() == '^';
    if (other) set.remove_prefix(1);
    bool in = false;
    for (std::size_t i = 0; i < set.size(); ++i) {
        const bool range = i + 2 < set.size() && set[i + 1] == '-';
        in = in || (set[i] <= c && c <= (range ? set[i + 2] : set[i]));
        if (range) i += 2;
    }
    return in != other ? std::optional(end + 1) : std::nullopt;
}

/// Whether the rule fits the path, or a folder that it is in. One row for each part of the rule: which beginnings of the
/// path it fits so far.
bool fits(const std::vector<std::string>& rule, const std::vector<std::string>& path) {
    std::vector<char> row(path.size() + 1, 0);
    row[0] = 1;
    for (const auto& part : rule) {
        std::vector<char> next(path.size() + 1, 0);
        for (std::size_t i = 0; i <= path.size(); ++i) {
            if (part == "**")
                next[i] = static_cast<char>(row[i] != 0 || (i > 0 && next[i - 1] != 0));
            else if (i > 0)
                next[i] = static_cast<char>(row[i - 1] != 0 && sutfleet::fits(part, path[i - 1]));
        }
        row = std::move(next);
    }
    return std::any_of(row.begin() + 1, row.end(), [](char fit) { return fit != 0; });
}

}  // namespace

bool fits(std::string_view pattern, std::string_view name) {
    std::size_t p = 0, n = 0;
    std::optional<std::pair<std::size_t, std::size_t>> star;  // behind it, and what of the name it has taken
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = {++p, n};
        } else if (const auto one = fit_one(pattern.substr(p), name[n])) {
            p += *one;
            ++n;
        } else if (star) {
            p = star->first;
            n = ++star->second;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
}

IgnoreRules::IgnoreRules(std::string_view text) {
    while (!text.empty()) {
        const auto whole = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(text.size(), whole.size() + 1));
        auto line = trimmed(whole);
        if (line.empty() || line.front() == '#') continue;
        Rule rule;
        rule.back = line.front() == '!';
        if (rule.back) line = trimmed(line.substr(1));
        rule.parts = parts_of(line);
        if (rule.parts.empty()) continue;
        takes_back_ = takes_back_ || rule.back;
        rules_.push_back(std::move(rule));
    }
}

bool IgnoreRules::leaves_out(std::string_view path) const {
    const auto parts = parts_of(path);
    bool out = false;
    for (const auto& rule : rules_)
        if (out == rule.back && fits(rule.parts, parts)) out = !rule.back;
    return out;
}

}  // namespace sutfleet
