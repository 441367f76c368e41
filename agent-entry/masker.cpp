#include "masker.hpp"

#include <algorithm>
#include <utility>

namespace sutfleet::agent {
namespace {

constexpr std::string_view k_mask = "***";

void add_lines(const std::string& value, std::vector<std::string>& out) {
    for (std::size_t at = 0; at < value.size();) {
        const auto end = std::min(value.find('\n', at), value.size());
        out.push_back(value.substr(at, end - at));
        at = end + 1;
    }
}

}  // namespace

Secrets::Secrets(const std::vector<std::string>& values) {
    for (const auto& value : values) {
        patterns_.push_back(value);
        if (value.find('\n') != std::string::npos) add_lines(value, patterns_);
    }
    std::erase_if(patterns_, [](const auto& one) { return one.size() < k_least; });
    std::ranges::sort(patterns_, [](const auto& a, const auto& b) { return a.size() != b.size() ? a.size() > b.size() : a < b; });
    patterns_.erase(std::unique(patterns_.begin(), patterns_.end()), patterns_.end());
    for (const auto& one : patterns_) begins_.at(static_cast<unsigned char>(one.front())) = true;
}

std::shared_ptr<const Secrets> Secrets::and_those_of(const Secrets& other) const {
    auto all = patterns_;
    all.insert(all.end(), other.patterns_.begin(), other.patterns_.end());
    return std::make_shared<const Secrets>(all);
}

std::pair<Masker::Found, std::size_t> Masker::look(std::string_view rest, bool more_may_come) const {
    for (const auto& one : secrets_->patterns_) {
        if (rest.starts_with(one)) return {Found::secret, one.size()};
        if (more_may_come && rest.size() < one.size() && std::string_view(one).starts_with(rest)) return {Found::begin_of_one, 0};
    }
    return {Found::nothing, 1};
}

std::string Masker::mask(std::string_view bytes, bool more_may_come) {
    std::string out;
    std::size_t kept_from = 0, at = 0;
    for (; at < bytes.size();) {
        if (!secrets_->begins_[static_cast<unsigned char>(bytes[at])]) {
            ++at;
            continue;
        }
        const auto [found, size] = look(bytes.substr(at), more_may_come);
        if (found == Found::begin_of_one) break;
        if (found == Found::secret) {
            out.append(bytes.substr(kept_from, at - kept_from)).append(k_mask);
            kept_from = at + size;
        }
        at += size;
    }
    out.append(bytes.substr(kept_from, at - kept_from));
    held_ = std::string(bytes.substr(at));
    return out;
}

std::string Masker::pass(std::string_view chunk) {
    if (held_.empty()) return mask(chunk, true);
    const auto all = held_ + std::string(chunk);
    return mask(all, true);
}

std::string Masker::end() { return mask(std::exchange(held_, {}), false); }

}  // namespace sutfleet::agent
