#pragma once
// Regular expressions that lines of output are asked for. RE2: no pattern and no input makes it slow or deep. The limits
// are the same for the conf's decoder, which refuses what breaks them, and for the agent. Threads: any.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace sutfleet {

/// A part of a line; a long one is looked at piece by piece.
struct LinePart {
    std::string_view text;
    bool begins = true;  ///< the line begins with it; otherwise its first byte is only there to show what is before
    bool ends = true;    ///< the line ends with it; otherwise so is its last
};

class Patterns {
  public:
    static constexpr std::size_t k_most = 50;
    static constexpr std::size_t k_longest = 1000;  ///< bytes of one

    Patterns();
    ~Patterns();
    Patterns(Patterns&&) noexcept;
    Patterns& operator=(Patterns&&) noexcept;

    /// @return invalid_input that says what is wrong with the first bad one.
    static Result<Patterns> compile(const std::vector<std::string>& texts);
    /// The first pattern that is found in it, anywhere.
    [[nodiscard]] std::optional<std::size_t> find(const LinePart& part) const;

  private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;  ///< null: none
};

/// Whether all of the text is what the pattern describes; false also for a pattern that `Patterns::compile` refuses.
[[nodiscard]] bool matches_whole(const std::string& pattern, std::string_view text);

}  // namespace sutfleet
