#pragma once
// What the user sees: data on stdout, messages on stderr, colour where it is wanted.

#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"

namespace sutfleet::ctl {

enum class Tone { plain, good, warn, bad, dim };

class Screen {
  public:
    explicit Screen(Color color);
    Screen(Color color, bool stdout_is_terminal, bool no_color);
    void print(std::string_view text) const;  ///< to stdout, as it is, at once
    void line(std::string_view text) const;
    void say(std::string_view message) const;  ///< to stderr: `sutctl: message`
    [[nodiscard]] std::string paint(Tone tone, std::string_view text) const;

  private:
    bool color_;
};

struct Cell {
    std::string text;
    Tone tone = Tone::plain;
};
/// Columns as wide as their widest cell; the last one is not padded.
std::string render_table(const Screen& screen, const std::vector<std::vector<Cell>>& rows);
/// Without control characters, so that what came over the bus cannot drive the terminal.
std::string printable(std::string_view text);

}  // namespace sutfleet::ctl
