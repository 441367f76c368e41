#include "policy/submit_policy.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/ids.hpp"
#include "core/one_line.hpp"
#include "match/patterns.hpp"

namespace sutfleet {
namespace {

using Type = CommandParameter::Type;
using Arguments = std::map<std::string, std::string>;

constexpr std::size_t k_quoted = 40;   ///< bytes of what a submitter wrote, in a reason
constexpr std::size_t k_listed = 400;  ///< bytes of a list of names
constexpr std::size_t k_reason = 1000;
constexpr std::size_t k_number_limit = 40;

/// With `shell: false`, of the keys of a job. All others could carry text to a process.
constexpr std::array<std::string_view, 10> k_harmless{"id",       "command",  "arguments", "timeout", "global_timeout",
                                                      "output_timeout", "priority", "expires",   "retries", "artifacts"};
struct Interpreter {
    std::string_view name;
    char code;  ///< the option that code follows
};
constexpr std::array<Interpreter, 12> k_interpreters{{{"sh", 'c'}, {"bash", 'c'}, {"dash", 'c'}, {"ash", 'c'}, {"zsh", 'c'}, {"ksh", 'c'},
                                                      {"python", 'c'}, {"python3", 'c'}, {"perl", 'e'}, {"ruby", 'e'}, {"node", 'e'}, {"lua", 'e'}}};

tl::unexpected<Error> refuse(std::string why) { return fail(ErrorKind::invalid_input, std::move(why)); }

std::string quoted(std::string_view text) { return "'" + one_line(text, k_quoted) + "'"; }

bool has_control(std::string_view text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

/// Like JSON's, without an exponent: what a program reads in it is what was compared here.
std::optional<double> decimal(std::string_view text, bool whole) {
    const auto digits = text.substr(text.starts_with('-') ? 1 : 0);
    if (digits.empty() || text.size() > k_number_limit || digits.find_first_not_of(whole ? "0123456789" : "0123456789.") != std::string_view::npos)
        return std::nullopt;
    const auto point = digits.find('.');
    const auto front = digits.substr(0, point);
    if (front.empty() || (front.size() > 1 && front.front() == '0')) return std::nullopt;
    if (point != std::string_view::npos && (point + 1 == digits.size() || digits.find('.', point + 1) != std::string_view::npos)) return std::nullopt;
    double value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
    if (value == 0 && text.starts_with('-')) return std::nullopt;  // it would get past `min: 0`, and be an option where it lands
    return value;
}

std::string as_text(double value) {
    std::array<char, 64> text{};
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    return error == std::errc{} ? std::string(text.data(), end) : std::string("?");
}

bool has_range(const CommandParameter& of) {
    const CommandParameter any;
    return of.min != any.min || of.max != any.max;
}

std::string listed(const std::vector<std::string>& words, std::string_view between) {
    std::string out;
    for (const auto& word : words) {
        if (out.size() + word.size() > k_listed) return out + std::string(between) + "…";
        out += (out.empty() ? "" : std::string(between)) + word;
    }
    return out;
}

std::string expected(const CommandParameter& of) {
    const auto range = has_range(of) ? " from " + as_text(of.min) + " to " + as_text(of.max) : std::string();
    switch (of.type) {
        case Type::integer: return "a whole number" + range;
        case Type::number: return "a decimal number" + range;
        case Type::boolean: return "true or false";
        case Type::choice: return "one of " + listed(of.values, ", ");
        case Type::text: break;
    }
    return std::string("a text of ") + (of.match.empty() ? "1" : "0") + " to " + std::to_string(of.max_length) + " bytes without control characters" +
           (of.match.empty() ? "" : " that matches " + of.match);
}

bool is_right(const CommandParameter& of, std::string_view value) {
    if (of.type == Type::integer || of.type == Type::number) {
        const auto number = decimal(value, of.type == Type::integer);
        return number && *number >= of.min && *number <= of.max;
    }
    if (of.type == Type::boolean) return value == "true" || value == "false";
    if (of.type == Type::choice) return std::ranges::find(of.values, value) != of.values.end();
    if (value.size() > of.max_length || value.size() > k_text_limit || has_control(value) || !is_utf8(value)) return false;
    return of.match.empty() ? !value.empty() : matches_whole(of.match, value);
}

/// The next `{name}` of a word, from `at` on; braces around anything else stand for themselves.
struct Placeholder {
    std::size_t begin = std::string_view::npos, end = 0;
    std::string name;
};
Placeholder next_placeholder(std::string_view word, std::size_t at) {
    for (auto begin = word.find('{', at); begin != std::string_view::npos; begin = word.find('{', begin + 1)) {
        const auto end = word.find('}', begin);
        if (end == std::string_view::npos) break;
        const auto name = word.substr(begin + 1, end - begin - 1);
        if (is_item_name(name)) return {begin, end + 1, std::string(name)};
    }
    return {};
}

std::string_view program_name(std::string_view word) { return word.substr(word.rfind('/') + 1); }

bool is_option(std::string_view word) { return word.size() > 1 && (word.front() == '-' || word.front() == '+'); }

/// Whether a word is what a shell, or another interpreter that some earlier word names, takes for code or for its options.
bool is_code(const std::vector<std::string>& run, std::size_t index) {
    for (std::size_t j = 0; j < index; ++j) {
        const auto known = std::ranges::find(k_interpreters, program_name(run[j]), &Interpreter::name);
        if (known == k_interpreters.end()) continue;
        std::size_t i = j + 1;
        while (i < index && is_option(run[i]) && run[i].find(known->code) == std::string::npos) ++i;
        const bool has_code = i < index && is_option(run[i]);
        return index == (has_code ? i + 1 : i);  // what follows are that code's own arguments
    }
    return false;
}

/// ssh makes one text of all its arguments, for a shell on the other side.
bool reaches_a_remote_shell(const std::vector<std::string>& run) {
    return std::ranges::any_of(run, [](const auto& word) { return program_name(word) == "ssh"; });
}

bool is_plain_word(std::string_view text) {
    constexpr std::string_view k_plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    return !text.empty() && text.find_first_not_of(k_plain) == std::string_view::npos;
}

/// One argument. No text that a submitter chose may make it an option: `--` is not every program's.
Result<std::string> expand(std::string_view word, const NamedCommand& command, const Arguments& arguments) {
    const bool remote = reaches_a_remote_shell(command.run);
    std::string out;
    std::size_t at = 0;
    for (auto found = next_placeholder(word, 0); found.begin != std::string_view::npos; found = next_placeholder(word, at)) {
        out += word.substr(at, found.begin - at);
        at = found.end;
        const auto parameter = command.parameters.find(found.name);
        const auto value = arguments.find(found.name);
        if (parameter == command.parameters.end() || value == arguments.end()) return refuse("'" + found.name + "' is not known");
        if (parameter->second.type == Type::text && out.empty() && value->second.starts_with('-'))
            return refuse("'" + found.name + "': expected a text that does not begin with '-'");
        if (parameter->second.type == Type::text && remote && !is_plain_word(value->second))
            return refuse("'" + found.name + "': expected a text of letters, digits and _@%+=:,./- only, since ssh gives it to a shell");
        out += value->second;
    }
    out += word.substr(at);
    return out;
}

/// All values of a command, checked, with those that were left out.
Result<Arguments> complete(const NamedCommand& command, Arguments given) {
    for (const auto& [name, value] : given) {
        const auto found = command.parameters.find(name);
        if (found == command.parameters.end()) return refuse("there is no parameter " + quoted(name));
        if (!is_right(found->second, value))
            return refuse("'" + name + "': expected " + expected(found->second) + ", found " + quoted(value));
    }
    for (const auto& [name, parameter] : command.parameters) {
        if (given.contains(name)) continue;
        if (!parameter.preset) return refuse("'" + name + "' is missing: expected " + expected(parameter));
        given[name] = *parameter.preset;
    }
    return given;
}

/// `flash slot=1 image=x`: nothing is quoted, so that nothing has to be unquoted; JSON has all other values.
struct Call {
    std::string name;
    Arguments arguments;
};
constexpr std::string_view k_blank = " \t\r\n";

std::string_view first_word(std::string_view text) {
    const auto begin = std::min(text.find_first_not_of(k_blank), text.size());
    return text.substr(begin, std::min(text.find_first_of(k_blank, begin), text.size()) - begin);
}

Result<Call> parse_call(std::string_view text) {
    Call out;
    for (auto begin = text.find_first_not_of(k_blank); begin != std::string_view::npos; begin = text.find_first_not_of(k_blank, begin)) {
        const auto end = std::min(text.find_first_of(k_blank, begin), text.size());
        const auto word = text.substr(begin, end - begin);
        begin = end;
        if (out.name.empty()) {
            out.name = word;
            continue;
        }
        const auto equals = word.find('=');
        if (equals == std::string_view::npos || equals == 0)
            return refuse("expected parameter=value, found " + quoted(word) + "; a value with blanks goes into JSON's 'arguments'");
        if (!out.arguments.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
            return refuse(quoted(word.substr(0, equals)) + " is given twice");
    }
    return out;
}

std::string names_of(const SubmitPolicy& policy) {
    if (policy.commands.empty()) return "no command may be submitted here";
    std::vector<std::string> names;
    for (const auto& [name, command] : policy.commands) names.push_back(name);
    return "expected one of " + listed(names, ", ");
}

Result<Command> call(const SubmitPolicy& policy, const Call& asked) {
    const auto found = policy.commands.find(asked.name);
    if (found == policy.commands.end()) return refuse(quoted(asked.name) + " is not allowed: " + names_of(policy));
    const auto wrong = [&](const Error& why) { return refuse(found->first + ": " + why.message + "; usage: " + usage(found->first, found->second)); };
    const auto arguments = complete(found->second, asked.arguments);
    if (!arguments) return wrong(arguments.error());
    Command out;
    for (const auto& word : found->second.run) {
        auto argument = expand(word, found->second, *arguments);
        if (!argument) return wrong(argument.error());
        out.argv.push_back(*std::move(argument));
    }
    if (out.argv.empty() || out.argv.front().empty()) return refuse(found->first + ": nothing to run");
    return out;
}

Result<Command> named(const SubmitPolicy& policy, const JobRequest& request) {
    if (!policy.shell)
        for (const auto& key : request.keys)
            if (std::ranges::find(k_harmless, key) == k_harmless.end())
                return refuse(quoted(key) + " is not allowed: this SUT takes only its named commands; " + names_of(policy));
    // First of all whether there is such a command: a shell text has no right form as one.
    if (const auto name = first_word(request.command); !policy.commands.contains(std::string(name)))
        return refuse(quoted(name) + " is not allowed: " + names_of(policy));
    const auto asked = request.arguments ? Result<Call>(Call{request.command, *request.arguments}) : parse_call(request.command);
    if (!asked) return refuse(asked.error().message + "; " + names_of(policy));
    return call(policy, *asked);
}

}  // namespace

Result<void> check_parameter(const CommandParameter& parameter) {
    if (parameter.min > parameter.max) return refuse("a 'max' that is not less than 'min'");
    if (parameter.type == Type::choice && (parameter.values.empty() || parameter.values.size() > k_choices))
        return refuse("1 to " + std::to_string(k_choices) + " 'values'");
    if (!parameter.match.empty())
        if (const auto compiled = Patterns::compile({parameter.match}); !compiled) return fail(compiled.error());
    if (parameter.preset && !is_right(parameter, *parameter.preset)) return refuse("a 'default' that is " + expected(parameter));
    return {};
}

Result<void> check_run(const NamedCommand& command) {
    if (command.run.empty() || command.run.front().empty() || command.run.size() > k_command_words)
        return refuse("a list of 1 to " + std::to_string(k_command_words) + " texts");
    std::set<std::string> used;
    for (std::size_t i = 0; i < command.run.size(); ++i) {
        const auto& word = command.run[i];
        for (auto found = next_placeholder(word, 0); found.begin != std::string_view::npos; found = next_placeholder(word, found.end)) {
            if (!command.parameters.contains(found.name)) return refuse("only names of its parameters in braces, found {" + found.name + "}");
            if (i == 0) return refuse("a program that no submitter chooses, found {" + found.name + "}");
            if (is_code(command.run, i))
                return refuse("no value where a shell or an interpreter would read it as code: give {" + found.name + "} to the script as a further argument, \"$1\"");
            used.insert(found.name);
        }
    }
    for (const auto& [name, parameter] : command.parameters)
        if (!used.contains(name)) return refuse("each parameter to be used, and {" + name + "} is not");
    return {};
}

Result<std::optional<Command>> permit(const SubmitPolicy& policy, const JobRequest& request) {
    if (policy.shell && !request.arguments) return std::nullopt;
    auto command = named(policy, request);
    if (!command) return refuse(one_line(command.error().message, k_reason));
    return *std::move(command);
}

std::string usage(std::string_view name, const NamedCommand& command) {
    std::string out(name);
    for (const auto& [key, parameter] : command.parameters) {
        auto value = parameter.type == Type::boolean ? std::string("true|false")
                     : parameter.type == Type::choice ? listed(parameter.values, "|")
                     : parameter.type != Type::text
                         ? (has_range(parameter) ? as_text(parameter.min) + ".." + as_text(parameter.max) : parameter.type == Type::integer ? "N" : "N.N")
                     : parameter.match.empty() ? "TEXT"
                                               : parameter.match;
        auto one = key + "=" + value;
        out += parameter.preset ? " [" + one + "]" : " " + one;
    }
    return out;
}

}  // namespace sutfleet
