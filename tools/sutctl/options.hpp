#pragma once
// What the command line asks for. CLI11 stays behind options.cpp.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "completion.hpp"

namespace sutfleet::ctl {

enum class Color { automatic, always, never };

struct Options {
    std::string command;  ///< the subcommand: `ps`, `submit` …
    bool json = false;
    Color color = Color::automatic;
    bool quiet = false;   ///< ps: names only
    bool follow = false;  ///< logs, events
    bool watch = false;   ///< ps
    bool wait = false;    ///< submit
    bool all = false;     ///< credentials rotate
    bool shared = false;  ///< secret: of all SUTs
    bool dry_run = false;  ///< prune, add
    bool now = false;      ///< restart, reset: do not wait for the running job
    bool purge = false;    ///< reset
    bool yes = false;      ///< reset --purge: do not ask
    std::optional<std::size_t> tail;
    std::optional<std::chrono::milliseconds> timeout;  ///< submit: of the job
    std::string sut;
    std::string queue;               ///< submit, cancel: instead of a SUT
    std::string job;
    std::string step;                ///< reinit; empty: all. credentials: `rotate`; empty: show
    std::string file;                ///< submit -f
    std::string from = "jobs";       ///< add: the template
    std::string action;              ///< secret: set, ls, rm
    std::string shell;               ///< completion
    std::vector<std::string> words;  ///< submit: the command; validate: the files; add: key=value; secret: the SUT, the key
};

struct Parsed {
    std::optional<Options> options;
    int exit = 0;       ///< when there are no options
    std::string out;    ///< --help and --version
    std::string error;  ///< what is wrong with the command line
};

Parsed parse_options(int argc, const char* const* argv);

/// The table that --help shows, for completion.
std::vector<CommandSpec> command_table();

}  // namespace sutfleet::ctl
