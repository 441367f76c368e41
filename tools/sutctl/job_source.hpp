#pragma once
// Where the job of `submit` comes from: the command line, stdin, a script, or a file that holds a
// job as JSON or YAML.

#include <string>

#include "exit.hpp"
#include "options.hpp"

namespace sutfleet::ctl {

/// @return a script, or a JSON object
Outcome<std::string> submitted_text(const Options& options);

}  // namespace sutfleet::ctl
