#pragma once
// sutctl as a user runs it, with a test's broker. For integration tests, which know where it is.

#include <sstream>

#include "program.hpp"

namespace sutfleet::test {

inline Environment sutctl_environment(const std::string& url) {
    return {{"SUTFLEET_BROKER", url}, {"SUTFLEET_USER", "operator"}, {"SUTFLEET_PASSWORD", "x"}};
}

/// `words` are parted at blanks; nothing is quoted.
inline std::vector<std::string> sutctl_argv(const std::string& words) {
    std::vector<std::string> argv{SUTCTL};
    std::istringstream stream(words);
    for (std::string word; stream >> word;) argv.push_back(word);
    return argv;
}

inline Ran sutctl(const std::string& url, const std::string& words) { return run(sutctl_argv(words), sutctl_environment(url)); }

}  // namespace sutfleet::test
