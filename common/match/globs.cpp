#include "match/globs.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <vector>

namespace sutfleet {
namespace {

constexpr std::int64_t k_memory = 1024 * 1024;

RE2::Options options() {
    RE2::Options out(RE2::Latin1);  // names of files are bytes
    out.set_log_errors(false);
    out.set_max_mem(k_memory);
    out.set_never_capture(true);
    out.set_dot_nl(true);
    return out;
}

/// The parts between slashes; one that is empty or "." says nothing.
std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> out;
    while (!path.empty()) {
        const auto end = std::min(path.find('/'), path.size());
        if (const auto part = path.substr(0, end); !part.empty() && part != ".") out.push_back(part);
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return out;
}

std::string literal(char c) { return RE2::QuoteMeta(re2::StringPiece(&c, 1)); }

/// `[…]` from the bracket on, as RE2 has it. @return where it ends; 0: the bracket stands for itself
std::size_t set_of(std::string_view part, std::string& out) {
    std::size_t at = 1;
    const bool negated = at < part.size() && (part[at] == '!' || part[at] == '^');
    if (negated) ++at;
    std::string inner;
    for (const auto first = at; at < part.size(); ++at) {
        if (part[at] == ']' && at > first) {
            out += (negated ? "[^/" : "[") + inner + "]";
            return at + 1;
        }
        if (part[at] == '\\' && at + 1 < part.size()) ++at;
        const bool range = part[at] == '-' && at > first && at + 1 < part.size() && part[at + 1] != ']';
        inner += range ? std::string("-") : literal(part[at]);
    }
    return 0;
}

std::string expression_of(std::string_view part) {
    std::string out;
    for (std::size_t at = 0; at < part.size();) {
        const char c = part[at];
        if (c == '[')
            if (const auto used = set_of(part.substr(at), out); used > 0) {
                at += used;
                continue;
            }
        if (c == '*') {
            out += "[^/]*";
            while (at + 1 < part.size() && part[at + 1] == '*') ++at;
        } else if (c == '?') {
            out += "[^/]";
        } else {
            if (c == '\\' && at + 1 < part.size()) ++at;
            out += literal(part[at]);
        }
        ++at;
    }
    return out;
}

bool names_a_dot(std::string_view part) { return part.starts_with('.') || part.starts_with("\\."); }

}  // namespace

struct Glob::Compiled {
    std::vector<bool> dots;  ///< whether a part of the pattern begins with a dot
    std::unique_ptr<RE2> whole;
};

Glob::Glob(std::string_view pattern) : compiled_(std::make_unique<Compiled>()) {
    std::string all;
    for (const auto part : parts_of(pattern)) {
        compiled_->dots.push_back(names_a_dot(part));
        all += (all.empty() ? "" : "/") + expression_of(part);
    }
    compiled_->whole = std::make_unique<RE2>(all, options());
}

Glob::~Glob() = default;

bool Glob::matches(std::string_view path) const {
    if (!compiled_->whole->ok() || compiled_->dots.empty()) return false;
    const auto parts = parts_of(path);
    if (parts.size() != compiled_->dots.size()) return false;
    for (std::size_t i = 0; i < parts.size(); ++i)
        if (parts[i].starts_with('.') && !compiled_->dots[i]) return false;
    return compiled_->whole->Match({path.data(), path.size()}, 0, path.size(), RE2::ANCHOR_BOTH, nullptr, 0);
}

}  // namespace sutfleet
