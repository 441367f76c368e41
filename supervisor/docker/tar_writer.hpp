#pragma once
// Writes a POSIX ustar archive, as the engine's archive call takes it, and takes one file out of what it gives. Pure.
// Source: POSIX.1-2017, pax utility, "ustar Interchange Format".

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "engine.hpp"

namespace sutfleet::docker {

/// @return invalid_input for a path of 100 bytes and more, an absolute one, or one with "..".
Result<std::string> write_tar(const std::vector<VolumeEntry>& entries);

/// The content of the archive's first entry. @return not_found when that is no file, invalid_input when it is cut off.
Result<std::string> read_tar_file(std::string_view tar);

}  // namespace sutfleet::docker
