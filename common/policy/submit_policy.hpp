#pragma once
// Which jobs a SUT's conf lets be submitted, and what a named command runs. The fence is `submit.shell: false`: then all
// that a submitter chooses is a name and values that were checked against their types, each within one argument of an argv,
// never seen by a shell; whatever else could reach a process (environment, phases' data, free keys) is refused. Pure: the
// agent asks it when a job comes and again when it starts. Threads: any.

#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "core/sut_conf.hpp"
#include "job/submit_request.hpp"

namespace sutfleet {

inline constexpr std::size_t k_named_commands = 100;
inline constexpr std::size_t k_command_parameters = 20;
inline constexpr std::size_t k_command_words = 100;
inline constexpr std::size_t k_choices = 100;
inline constexpr std::size_t k_text_limit = 4096;  ///< bytes that a text parameter may have at most

/// For the conf's decoder. @return invalid_input with what was expected.
Result<void> check_parameter(const CommandParameter& parameter);
/// What `run` must be, given its parameters.
Result<void> check_run(const NamedCommand& command);

/// @return the argv of a named command; nothing: the job's own text, or the conf's test phase, runs as ever.
/// An error's message is the text after `rejected: `; it names what is allowed.
Result<std::optional<Command>> permit(const SubmitPolicy& policy, const JobRequest& request);

/// `flash image=[a-z0-9.-]+ slot=0..3`: how it is submitted as a text; what may be left out is in brackets.
[[nodiscard]] std::string usage(std::string_view name, const NamedCommand& command);

}  // namespace sutfleet
