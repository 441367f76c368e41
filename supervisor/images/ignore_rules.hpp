#pragma once
// What a `.dockerignore` leaves out of a folder that is built, as Docker's own client reads it: the last rule that fits
// decides, a folder that is left out takes along what is in it, `!` takes back. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace sutfleet {

class IgnoreRules {
  public:
    IgnoreRules() = default;
    explicit IgnoreRules(std::string_view text);
    /// @param path relative to the folder, without a slash at its end
    [[nodiscard]] bool leaves_out(std::string_view path) const;
    /// Whether something in a folder that is left out can be taken back.
    [[nodiscard]] bool takes_back() const { return takes_back_; }

  private:
    struct Rule {
        bool back = false;
        std::vector<std::string> parts;  ///< a pattern each; "**" is any number of folders
    };
    std::vector<Rule> rules_;
    bool takes_back_ = false;
};

inline constexpr std::size_t k_ignore_limit = 64 * 1024;  ///< bytes of the file

/// Whether a name fits a pattern of `*`, `?`, `[a-z]`, `[^a-z]` and `\x`, in time that is bounded by both lengths.
[[nodiscard]] bool fits(std::string_view pattern, std::string_view name);

}  // namespace sutfleet
