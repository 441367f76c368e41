#pragma once
// A job file as Testflinger's users have it: YAML, to the JSON object that a submit is. Pure.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "conf/sut_conf_yaml.hpp"

namespace sutfleet::ctl {

/// What the agent would refuse is refused here, with its place.
/// @return the JSON, or every error found, in the order of their lines
tl::expected<std::string, std::vector<ConfError>> job_of_yaml(std::string_view text);

}  // namespace sutfleet::ctl
