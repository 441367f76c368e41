#pragma once
// Completion scripts for shells, from the table of commands. Pure.

#include <string>
#include <string_view>
#include <vector>

namespace sutfleet::ctl {

struct OptionSpec {
    std::vector<std::string> names;  ///< "-f", "--follow"
    std::string what;
    bool takes_value = false;
};

struct CommandSpec {
    std::string name;  ///< empty: the options of every command
    std::string what;
    std::vector<OptionSpec> options;
    std::vector<std::string> words;  ///< what stands without a dash: "sut", "job", "files" …
};

/// @param shell `bash`, `zsh` or `fish`
std::string completion_script(std::string_view shell, const std::vector<CommandSpec>& commands);

}  // namespace sutfleet::ctl
