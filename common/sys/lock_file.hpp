#pragma once
// An exclusive flock(2) on a file, released when the object or the process ends, however it ends.

#include <string>
#include <string_view>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

class LockFile {
  public:
    /// @return conflict with what the holder wrote into the file, when another process holds it.
    static Result<LockFile> take(const std::string& path, std::string_view holder);

  private:
    explicit LockFile(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sutfleet::sys
