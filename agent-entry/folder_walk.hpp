#pragma once
// All that is below a job's folder, where a job may have left anything: links, pipes, trees without end, folders that nobody
// may enter. Nothing here follows a link or opens more than a few descriptors. Threads: any.

#include <sys/stat.h>

#include <functional>
#include <string>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {

struct WalkLimits {
    std::size_t entries = 10'000;
    std::size_t depth = 32;       ///< folders in folders; one descriptor each
    std::size_t path = 1000;      ///< bytes of a path
};

struct WalkEntry {
    const std::string& path;  ///< relative to where the walk began
    int folder;               ///< that it is in
    const char* name;         ///< in there
    const struct stat& info;
};

/// Calls `visit` for each entry, folders before what is in them, until it returns false.
/// @return whether that was all; false: `visit` ended it, or a limit, or something that cannot be read
bool walk_folder(int folder, const WalkLimits& limits, const std::function<bool(const WalkEntry&)>& visit);

/// A folder by its path; its last part is no link.
Result<sys::UniqueFd> open_folder(const std::string& path);
/// What is below a folder, with no link on the way and at the end; `flags` as for open(2).
Result<sys::UniqueFd> open_below(int folder, const std::string& path, int flags);
/// The folders of a relative path, made where they are not there.
Result<sys::UniqueFd> make_folders_below(int folder, const std::string& path);

/// Removes a folder with all that is in it, however deep and whatever its modes. Not there: done.
/// @param go_on asked now and then; what is left when it says no is left
Result<void> remove_folder(const std::string& path, const std::function<bool()>& go_on);

}  // namespace sutfleet::agent
