#include "access_rules.hpp"

#include <algorithm>
#include <optional>

namespace sutfleet::broker {
namespace {

constexpr std::string_view k_user = "%u";

/// Takes the front of `text` up to `end`, and `end` with it.
std::string_view take(std::string_view& text, char end) {
    const auto at = std::min(text.find(end), text.size());
    const auto front = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return front;
}

std::optional<AccessRules::Access> access_of(std::string_view word) {
    using enum AccessRules::Access;
    if (word == "read") return read;
    if (word == "write") return write;
    if (word == "readwrite") return both;
    return std::nullopt;
}

bool includes(AccessRules::Access given, AccessRules::Access wanted) {
    return (static_cast<unsigned>(given) & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
}

std::string with_user(std::string filter, std::string_view user) {
    for (std::size_t at = 0; (at = filter.find(k_user, at)) != std::string::npos; at += user.size())
        filter.replace(at, k_user.size(), user);
    return filter;
}

}  // namespace

bool matches(std::string_view filter, std::string_view topic) {
    if (topic.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#'))) return false;
    for (;;) {
        if (filter == "#") return true;
        const bool more_filter = filter.find('/') != std::string_view::npos, more_topic = topic.find('/') != std::string_view::npos;
        const auto wanted = take(filter, '/'), level = take(topic, '/');
        if (wanted != "+" && wanted != level) return false;
        if (!more_topic) return !more_filter || filter == "#";
        if (!more_filter) return false;
    }
}

void AccessRules::add(std::string_view text, const std::function<void(int, const char*)>& bad) {
    Rules* own = &users_[""];
    for (int number = 1; !text.empty(); ++number) {
        auto line = take(text, '\n');
        if (line.empty() || line.starts_with('#')) continue;
        const auto word = take(line, ' ');
        if (word == "user" && !line.empty()) {
            own = &users_[std::string(line)];
        } else if (word == "topic" || word == "pattern") {
            const auto access = access_of(take(line, ' '));
            if (access && !line.empty())
                (word == "topic" ? *own : patterns_).push_back({*access, std::string(line)});
            else
                bad(number, "read, write or readwrite, and a topic filter");
        } else {
            bad(number, "user NAME, topic …, pattern … or # …");
        }
    }
}

bool AccessRules::may(std::string_view user, std::string_view topic, Access wanted) const {
    if (const auto own = users_.find(user); own != users_.end())
        for (const auto& [access, filter] : own->second)
            if (includes(access, wanted) && matches(filter, topic)) return true;
    if (user.empty() || user.find_first_of("+#/") != std::string_view::npos) return false;
    return std::ranges::any_of(patterns_, [&](const Rule& rule) { return includes(rule.access, wanted) && matches(with_user(rule.filter, user), topic); });
}

}  // namespace sutfleet::broker
