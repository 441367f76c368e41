#pragma once
// The agents' programs as they lie in the supervisor's image, ready to be put into their volume.

#include <string>
#include <vector>

#include "engine.hpp"

namespace sutfleet {

struct ProgramTree {
    std::string build;  ///< tells builds apart
    std::vector<VolumeEntry> entries;
};

/// @return the build alone: the text of the file BUILD.
Result<std::string> program_build(const std::string& folder);
/// Reads `bin/` and `lib/` of the folder.
Result<ProgramTree> read_program_tree(const std::string& folder);

}  // namespace sutfleet
