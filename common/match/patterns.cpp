#include "match/patterns.hpp"

#include <re2/re2.h>

namespace sutfleet {
namespace {

/// Of one pattern: its program and what it remembers while it matches.
constexpr std::int64_t k_memory = 1024 * 1024;

RE2::Options options() {
    RE2::Options out;
    out.set_log_errors(false);
    out.set_max_mem(k_memory);
    out.set_never_capture(true);
    return out;
}

bool found(const RE2& pattern, const LinePart& part) {
    const auto size = part.text.size();
    const std::size_t from = part.begins ? 0 : 1, to = part.ends ? size : size - 1;
    return from <= to && pattern.Match({part.text.data(), size}, from, to, RE2::UNANCHORED, nullptr, 0);
}

}  // namespace

struct Patterns::Compiled {
    std::vector<std::unique_ptr<RE2>> each;
    std::unique_ptr<RE2> any;  ///< all in one, so that a line without any is looked at once; null: that is too large
};

Patterns::Patterns() = default;
Patterns::~Patterns() = default;
Patterns::Patterns(Patterns&&) noexcept = default;
Patterns& Patterns::operator=(Patterns&&) noexcept = default;

Result<Patterns> Patterns::compile(const std::vector<std::string>& texts) {
    Patterns out;
    if (texts.empty()) return out;
    if (texts.size() > k_most) return fail(ErrorKind::invalid_input, "at most " + std::to_string(k_most) + " patterns");
    out.compiled_ = std::make_unique<Compiled>();
    std::string any;
    for (const auto& text : texts) {
        if (text.size() > k_longest)
            return fail(ErrorKind::invalid_input, "a pattern of at most " + std::to_string(k_longest) + " bytes");
        auto one = std::make_unique<RE2>(text, options());
        if (!one->ok()) return fail(ErrorKind::invalid_input, "a regular expression (RE2): " + one->error());
        out.compiled_->each.push_back(std::move(one));
        any += (any.empty() ? "(?:" : "|(?:") + text + ")";
    }
    if (texts.size() == 1) return out;
    auto all = std::make_unique<RE2>(any, options());
    if (all->ok()) out.compiled_->any = std::move(all);
    return out;
}

std::optional<std::size_t> Patterns::find(const LinePart& part) const {
    if (!compiled_ || (compiled_->any && !found(*compiled_->any, part))) return std::nullopt;
    for (std::size_t i = 0; i < compiled_->each.size(); ++i)
        if (found(*compiled_->each[i], part)) return i;
    return std::nullopt;
}

bool matches_whole(const std::string& pattern, std::string_view text) {
    if (pattern.size() > Patterns::k_longest) return false;
    const RE2 compiled(pattern, options());
    return compiled.ok() && compiled.Match({text.data(), text.size()}, 0, text.size(), RE2::ANCHOR_BOTH, nullptr, 0);
}

}  // namespace sutfleet
