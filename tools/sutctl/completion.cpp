#include "completion.hpp"

#include <algorithm>

namespace sutfleet::ctl {
namespace {

/// For '…' of a shell.
std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

/// The part of a description that fits on a line.
std::string brief(const std::string& what) { return what.substr(0, what.find('\n')); }

bool first_is(const CommandSpec& command, std::string_view word) {
    return !command.words.empty() && command.words.front() == word;
}

std::string names_of(const std::vector<CommandSpec>& commands, const auto& fits) {
    std::string out;
    for (const auto& command : commands)
        if (!command.name.empty() && fits(command)) out += (out.empty() ? "" : " ") + command.name;
    return out;
}

std::string joined(const std::vector<OptionSpec>& options, const auto& fits) {
    std::string out;
    for (const auto& option : options)
        for (const auto& name : option.names)
            if (fits(option)) out += (out.empty() ? "" : " ") + name;
    return out;
}

std::string or_pattern(std::string text) {
    std::ranges::replace(text, ' ', '|');
    return text.empty() ? "''" : text;
}

std::string with_value(const std::vector<CommandSpec>& commands) {
    std::string out;
    for (const auto& command : commands) {
        const auto some = joined(command.options, [](const auto& option) { return option.takes_value; });
        if (!some.empty()) out += (out.empty() ? "" : " ") + some;
    }
    return out;
}

const auto k_any = [](const auto&) { return true; };

/// bash: the command is the first word without a dash that is no option's value; its first such word is a SUT.
std::string bash(const std::vector<CommandSpec>& commands) {
    std::string options;
    for (const auto& command : commands)
        options += "    " + (command.name.empty() ? std::string("''") : command.name) + ") printf '%s' " + quoted(joined(command.options, k_any)) + " ;;\n";
    return R"x(# sutctl completion for bash: source it, or put it into /etc/bash_completion.d/
_sutctl_options() {
  case $1 in
)x" + options + R"x(  esac
}
_sutctl() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command='' count=0 i skip=0
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if ((skip)); then skip=0; continue; fi
    case ${COMP_WORDS[i]} in
      )x" + or_pattern(with_value(commands)) + R"x() skip=1 ;;
      -*) ;;
      *) if [ -z "$command" ]; then command=${COMP_WORDS[i]}; else count=$((count + 1)); fi ;;
    esac
  done
  case $before in
    --color) COMPREPLY=($(compgen -W 'auto always never' -- "$word")); return ;;
    --from) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion templates 2>/dev/null)" -- "$word")); return ;;
    )x" + or_pattern(with_value(commands)) + R"x() COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$(_sutctl_options "$command") $(_sutctl_options '')" -- "$word")); return ;;
  esac
  if [ -z "$command" ]; then
    COMPREPLY=($(compgen -W )x" + quoted(names_of(commands, k_any)) + R"x( -- "$word"))
    return
  fi
  case $command in
    )x" + or_pattern(names_of(commands, [](const auto& c) { return first_is(c, "sut"); })) + R"x()
      [ $count -gt 0 ] || COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" completion suts 2>/dev/null)" -- "$word")) ;;
    )x" + or_pattern(names_of(commands, [](const auto& c) { return first_is(c, "files"); })) + R"x()
      COMPREPLY=($(compgen -f -- "$word")) ;;
    )x" + or_pattern(names_of(commands, [](const auto& c) { return first_is(c, "shell"); })) + R"x()
      COMPREPLY=($(compgen -W 'bash zsh fish' -- "$word")) ;;
  esac
}
complete -F _sutctl sutctl ctl
)x";
}

std::string zsh_option(const OptionSpec& option) {
    std::string out;
    for (const auto& name : option.names)
        out += " " + quoted(name + "[" + brief(option.what) + "]" + (option.takes_value ? ":value:_files" : ""));
    return out;
}

/// What _arguments and _describe give a meaning of their own.
std::string zsh_text(std::string text) {
    std::erase_if(text, [](char c) { return c == '[' || c == ']' || c == ':' || c == '\\'; });
    return text;
}

std::string zsh(std::vector<CommandSpec> commands) {
    for (auto& command : commands) {
        command.what = zsh_text(command.what);
        for (auto& option : command.options) option.what = zsh_text(option.what);
    }
    std::string all, cases, general;
    for (const auto& command : commands) {
        std::string options;
        for (const auto& option : command.options) options += zsh_option(option);
        if (command.name.empty()) {
            general = options;
            continue;
        }
        all += "    " + quoted(command.name + ":" + brief(command.what)) + "\n";
        const auto* words = first_is(command, "sut")     ? " ':sut:_sutctl_suts' '*::word:_files'"
                            : first_is(command, "shell") ? " ':shell:(bash zsh fish)'"
                                                         : " '*::word:_files'";
        cases += "    " + command.name + ") _arguments" + options + general + words + " ;;\n";
    }
    return "#compdef sutctl ctl\n# sutctl completion for zsh: put it as _sutctl into a folder of $fpath\n"
           "_sutctl_suts() { local -a suts; suts=(${(f)\"$(sutctl completion suts 2>/dev/null)\"}); compadd -a suts }\n"
           "_sutctl() {\n  local -a commands; commands=(\n" + all + "  )\n"
           "  local curcontext=$curcontext state line; typeset -A opt_args\n"
           "  _arguments -C" + general + " ':command:->command' '*::word:->words'\n"
           "  case $state in\n  command) _describe command commands ;;\n  words) case $words[1] in\n" + cases + "    esac ;;\n  esac\n}\n"
           "if [ \"$funcstack[1]\" = _sutctl ]; then _sutctl \"$@\"; else compdef _sutctl sutctl ctl; fi\n";
}

std::string fish_option(const OptionSpec& option) {
    std::string out;
    for (const auto& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    return out + (option.takes_value ? " -r" : "") + " -d " + quoted(brief(option.what));
}

std::string fish(const std::vector<CommandSpec>& commands) {
    std::string out = "# sutctl completion for fish: put it into ~/.config/fish/completions/sutctl.fish\ncomplete -c sutctl -f\n";
    for (const auto& command : commands) {
        const auto under = command.name.empty() ? std::string() : " -n '__fish_seen_subcommand_from " + command.name + "'";
        if (!command.name.empty())
            out += "complete -c sutctl -n __fish_use_subcommand -a " + command.name + " -d " + quoted(brief(command.what)) + "\n";
        for (const auto& option : command.options) out += "complete -c sutctl" + under + fish_option(option) + "\n";
        if (first_is(command, "sut")) out += "complete -c sutctl" + under + " -a '(sutctl completion suts 2>/dev/null)'\n";
        if (first_is(command, "shell")) out += "complete -c sutctl" + under + " -a 'bash zsh fish'\n";
        if (first_is(command, "files")) out += "complete -c sutctl" + under + " -F\n";
    }
    return out;
}

}  // namespace

std::string completion_script(std::string_view shell, const std::vector<CommandSpec>& commands) {
    return shell == "bash" ? bash(commands) : shell == "zsh" ? zsh(commands) : fish(commands);
}

}  // namespace sutfleet::ctl
