#pragma once
// The names that cross a border (file name, topic level, container name): checked once, where they are
// parsed, and a type of their own from then on. Pure.

#include <compare>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sutfleet {

/// The name of a SUT: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])`, 2 to 63 characters (RFC 1123 label), not reserved.
class SutName {
  public:
    /// @return ErrorKind::invalid_input with the rule that was broken.
    static Result<SutName> parse(std::string_view text);
    [[nodiscard]] const std::string& str() const { return text_; }
    auto operator<=>(const SutName&) const = default;

  private:
    explicit SutName(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

/// The id of a job: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`.
class JobId {
  public:
    static Result<JobId> parse(std::string_view text);
    [[nodiscard]] const std::string& str() const { return text_; }
    auto operator<=>(const JobId&) const = default;

  private:
    explicit JobId(std::string text) : text_(std::move(text)) {}
    std::string text_;
};

/// The name of an init step, service, renewal or probe: 1 to 63 of `[A-Za-z0-9_-]`, so that it is one topic level and a
/// file name at once.
[[nodiscard]] bool is_item_name(std::string_view text);

}  // namespace sutfleet
