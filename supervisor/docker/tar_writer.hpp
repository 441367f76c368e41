#pragma once
// Writes a POSIX ustar archive, as the engine's archive call takes it. Pure.
// Source: POSIX.1-2017, pax utility, "ustar Interchange Format".

#include <string>
#include <vector>

#include "core/result.hpp"
#include "engine.hpp"

namespace sutfleet::docker {

/// All entries below `folder` ("" or "name/"). @return invalid_input for a path of more than 100 bytes (with
/// the folder), an absolute one, or one with "..".
Result<std::string> write_tar(const std::string& folder, const std::vector<VolumeEntry>& entries);

}  // namespace sutfleet::docker
