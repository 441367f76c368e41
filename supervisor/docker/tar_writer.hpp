#pragma once
// Writes a POSIX ustar archive, as the engine's archive call takes it. Pure.
// Source: POSIX.1-2017, pax utility, "ustar Interchange Format".

#include <string>
#include <vector>

#include "core/result.hpp"
#include "engine.hpp"

namespace sutfleet::docker {

/// @return invalid_input for a path of 100 bytes and more, an absolute one, or one with "..".
Result<std::string> write_tar(const std::vector<VolumeEntry>& entries);

}  // namespace sutfleet::docker
