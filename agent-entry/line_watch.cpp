#include "line_watch.hpp"

#include <algorithm>

#include "core/one_line.hpp"

namespace sutfleet::agent {

void LineWatch::set_rules(Rules rules) {
    rules_ = std::move(rules);
    if (std::ranges::find(rules_.unhealthy_on, pattern_) == rules_.unhealthy_on.end()) why_.clear();
}

void LineWatch::restart() {
    skipped();
    why_.clear();
}

void LineWatch::skipped() {
    line_.clear();
    begins_ = true;
}

void LineWatch::take(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto newline = bytes.find('\n');
        if (newline == std::string_view::npos) return hold(bytes);
        const auto rest = bytes.substr(0, newline);
        if (line_.empty() && rest.size() <= k_window) {
            look(rest, true);
        } else {
            hold(rest);
            look(line_, true);
            line_.clear();
        }
        begins_ = true;
        bytes.remove_prefix(newline + 1);
    }
}

void LineWatch::quiet() {
    if (!line_.empty()) look(line_, true);
    asked_ = true;
}

void LineWatch::hold(std::string_view bytes) {
    asked_ = false;
    while (line_.size() + bytes.size() > k_window) {
        const auto part = bytes.substr(0, k_window - line_.size());
        line_.append(part);
        bytes.remove_prefix(part.size());
        look(line_, false);
        line_.erase(0, line_.size() - k_overlap);
        begins_ = false;
    }
    line_.append(bytes);
}

void LineWatch::look(std::string_view text, bool ends) {
    while (ends && text.ends_with('\r')) text.remove_suffix(1);
    if (is_utf8(text)) return judge({text, begins_, ends});
    const auto readable = as_utf8(text);
    judge({readable, begins_, ends});
}

void LineWatch::judge(const LinePart& part) {
    if (!why_.empty() && !rules_.clear.find(part)) return;
    const auto found = rules_.unhealthy.find(part);
    if (!found) return why_.clear();
    if (!why_.empty()) return;  // the first one is the reason
    pattern_ = rules_.unhealthy_on[*found];
    why_ = "the output matches '" + one_line(pattern_, k_quoted) + "': " + one_line(part.text, k_quoted);
}

}  // namespace sutfleet::agent
