#pragma once
// Puts a name before each line of a stream, so that several of them can share one log. Only whole lines pass, so that
// no two streams mix within one; a line that grows too long is cut. Pure.

#include <string>
#include <string_view>

namespace sutfleet::agent {

class LineLabel {
  public:
    static constexpr std::size_t k_longest = 16 * 1024;  ///< of a line, before it is cut

    explicit LineLabel(const std::string& name) : label_("[" + name + "] ") {}
    /// @return the lines that are whole by now
    std::string pass(std::string_view chunk);
    /// @return the last line, if it had no end; the stream has ended
    std::string end();

  private:
    std::string take_line();
    std::string label_;
    std::string held_;  ///< the begin of a line
};

}  // namespace sutfleet::agent
