#include "core/ids.hpp"

#include <algorithm>
#include <array>

namespace sutfleet {
namespace {

constexpr std::array<std::string_view, 5> k_reserved{"fleet", "broker", "supervisor", "portainer",
                                                     "jenkins"};

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alnum(char c) {
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

}  // namespace

Result<SutName> SutName::parse(std::string_view text) {
    const auto bad = [&](std::string_view rule) {
        return fail(ErrorKind::invalid_input,
                    "'" + std::string(text.substr(0, 80)) + "' is not a SUT name: " + std::string(rule));
    };
    if (text.size() < 2 || text.size() > 63) return bad("it must have 2 to 63 characters");
    if (!std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; }))
        return bad("only a-z, 0-9 and '-' are allowed");
    if (text.front() == '-' || text.back() == '-') return bad("it must not begin or end with '-'");
    if (std::ranges::find(k_reserved, text) != k_reserved.end()) return bad("the name is reserved");
    return SutName(std::string(text));
}

Result<JobId> JobId::parse(std::string_view text) {
    const bool ok = !text.empty() && text.size() <= 64 && is_alnum(text.front()) &&
                    std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
    if (!ok)
        return fail(ErrorKind::invalid_input,
                    "not a job id: expected [A-Za-z0-9][A-Za-z0-9_-]{0,63}");
    return JobId(std::string(text));
}

bool is_item_name(std::string_view text) {
    return !text.empty() && text.size() <= 63 &&
           std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
}

}  // namespace sutfleet
