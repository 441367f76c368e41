#include "screen.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

bool no_color() {
    const char* value = std::getenv("NO_COLOR");
    return value != nullptr && *value != '\0';
}

std::string_view code(Tone tone) {
    switch (tone) {
        case Tone::plain:
            return "";
        case Tone::good:
            return "\033[32m";
        case Tone::warn:
            return "\033[33m";
        case Tone::bad:
            return "\033[31m";
        case Tone::dim:
            return "\033[2m";
    }
    return "";
}

/// Characters, not bytes: a UTF-8 sequence counts once.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Screen::Screen(Color color) : Screen(color, ::isatty(STDOUT_FILENO) == 1, no_color()) {}

Screen::Screen(Color color, bool stdout_is_terminal, bool no_color)
    : color_(color == Color::always ||
             (color == Color::automatic && stdout_is_terminal && !no_color)) {}

void Screen::print(std::string_view text) const {
    // Nobody reads any more: nothing is left to be done for them.
    if (!sys::write_all(STDOUT_FILENO, text)) ::_exit(1);
}

void Screen::line(std::string_view text) const {
    print(std::string(text) + "\n");
}

void Screen::say(std::string_view message) const {
    (void)sys::write_all(STDERR_FILENO, "sutctl: " + std::string(message) + "\n");
}

std::string Screen::paint(Tone tone, std::string_view text) const {
    if (!color_ || tone == Tone::plain) return std::string(text);
    return std::string(code(tone)) + std::string(text) + "\033[0m";
}

std::string render_table(const Screen& screen, const std::vector<std::vector<Cell>>& rows) {
    std::vector<std::size_t> widths;
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (widths.size() <= i) widths.push_back(0);
            widths[i] = std::max(widths[i], width(row[i].text));
        }
    std::string out;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            out += screen.paint(row[i].tone, row[i].text);
            if (i + 1 < row.size()) out += std::string(widths[i] - width(row[i].text) + 2, ' ');
        }
        out.erase(out.find_last_not_of(' ') + 1);
        out += '\n';
    }
    return out;
}

std::string printable(std::string_view text) {
    std::string out(text);
    for (auto& c : out)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
    return out;
}

}  // namespace sutfleet::ctl
