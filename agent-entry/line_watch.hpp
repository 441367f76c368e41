#pragma once
// Whether a stream of output says that the SUT is unhealthy: by a line that matches `unhealthy_on`, until one matches
// `clear_on`. Pure. Lines come in chunks, as they like; of one that is longer than k_window, a match that is longer than
// k_overlap may be missed.

#include <string>
#include <string_view>
#include <vector>

#include "match/patterns.hpp"

namespace sutfleet::agent {

class LineWatch {
  public:
    static constexpr std::size_t k_window = 64 * 1024;
    static constexpr std::size_t k_overlap = 4 * 1024;
    static constexpr std::size_t k_quoted = 200;  ///< bytes of a line, and of a pattern, in the reason

    struct Rules {
        std::vector<std::string> unhealthy_on;  ///< as written, for the reason
        Patterns unhealthy;
        Patterns clear;
    };
    /// What was found by a pattern that is still there stays found.
    void set_rules(Rules rules);
    void take(std::string_view bytes);
    /// Nothing more comes for now: what stands there without a newline (a prompt) counts as a line.
    void quiet();
    /// A new life of the command: nothing is found, no line is begun.
    void restart();
    /// Bytes are missing here: the line at hand is not one.
    void skipped();

    [[nodiscard]] bool waits() const { return !line_.empty() && !asked_; }
    /// One line; empty: nothing was found.
    [[nodiscard]] const std::string& why() const { return why_; }

  private:
    void hold(std::string_view bytes);
    void look(std::string_view text, bool ends);
    void judge(const LinePart& part);

    Rules rules_;
    std::string line_;     ///< begun, or of a long one the last of it
    bool begins_ = true;   ///< line_ is from the line's begin
    bool asked_ = false;   ///< line_ was looked at by quiet()
    std::string why_;
    std::string pattern_;  ///< by which why_ was set
};

}  // namespace sutfleet::agent
