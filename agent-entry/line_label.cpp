#include "line_label.hpp"

#include <algorithm>

namespace sutfleet::agent {

std::string LineLabel::pass(std::string_view chunk) {
    std::string out;
    while (!chunk.empty()) {
        const auto newline = chunk.find('\n');
        const auto room = k_longest - held_.size();
        const auto take = std::min({newline, room, chunk.size()});
        held_ += chunk.substr(0, take);
        chunk.remove_prefix(take);
        const bool ends = !chunk.empty() && chunk.front() == '\n';
        if (ends) chunk.remove_prefix(1);
        if (ends || held_.size() == k_longest) out += take_line();
    }
    return out;
}

std::string LineLabel::take_line() {
    auto out = label_ + held_ + "\n";
    held_.clear();
    return out;
}

std::string LineLabel::end() { return held_.empty() ? std::string() : take_line(); }

}  // namespace sutfleet::agent
