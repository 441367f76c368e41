#pragma once
// All that is below a job's folder; a job may have left anything there.

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace sutfleet::agent {

inline constexpr std::size_t k_files_looked_at = 10'000;

/// Calls `visit(path, info)` for each, at most k_files_looked_at; links are not followed.
template <class Visit>
void walk_folder(const std::string& folder, Visit visit) {
    std::error_code error;
    std::filesystem::recursive_directory_iterator at(folder, std::filesystem::directory_options::skip_permission_denied, error);
    for (std::size_t seen = 0; !error && at != std::filesystem::recursive_directory_iterator() && seen < k_files_looked_at; ++seen) {
        struct stat info {};
        if (::lstat(at->path().c_str(), &info) == 0) visit(at->path(), info);
        at.increment(error);
    }
}

}  // namespace sutfleet::agent
