#pragma once
// What a payload on `<sut>/submit` asks for. Pure: the decoder of the most exposed input of the product.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <chrono>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace sutfleet {

inline constexpr std::size_t k_submit_limit = 256 * 1024;  ///< bytes; more is `rejected: too large`

inline constexpr std::size_t k_arguments_limit = 100;
inline constexpr std::size_t k_artifact_patterns = 100;
inline constexpr std::size_t k_artifact_pattern_limit = 1000;  ///< bytes of one

/// When an attempt that did not succeed is followed by another one.
struct RetryRule {
    unsigned max = 0;  ///< further attempts; 0: none
    std::set<int> on;  ///< exit codes; with an empty `on` and neither flag, every failure, timeout and loss
    bool on_timeout = false;
    bool on_lost = false;
    std::chrono::milliseconds delay{0};
    bool operator==(const RetryRule&) const = default;
};

struct JobRequest {
    std::optional<JobId> id;  ///< none: the agent makes one, and a repeat is a new job
    std::string command;      ///< the job's `test` data, or the name of a command of the SUT's conf
    std::optional<std::map<std::string, std::string>> arguments;  ///< there: `command` is such a name, in any conf
    std::map<std::string, std::string> env;
    std::optional<std::chrono::milliseconds> timeout, output_timeout;
    int priority = 0;  ///< -100 to 100, the higher the sooner
    std::optional<std::chrono::milliseconds> expires;  ///< not started within this time: never
    RetryRule retries;
    std::vector<std::string> artifacts;  ///< patterns (glob(7)) of files of its folder that are kept as artifacts
    std::set<std::string> phases;  ///< the optional phases that the job has data for
    std::set<std::string> skipped; ///< those that are not to run all the same
    std::set<std::string> keys;    ///< that the object has; none of a plain text
    std::string json;  ///< the job as a JSON object, for the commands to read
    bool operator==(const JobRequest&) const = default;
};

/// @return invalid_input whose message is the text after `rejected: `.
Result<JobRequest> decode_submit(std::string_view payload);

inline constexpr std::size_t k_command_shown = 200;
/// Its first line, cut to k_command_shown bytes.
[[nodiscard]] std::string shown_command(std::string_view command);

}  // namespace sutfleet
