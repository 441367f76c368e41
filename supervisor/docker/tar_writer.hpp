#pragma once
// Writes a POSIX ustar archive, as the engine's archive call takes it, and takes one file out of what it gives. Pure.
// Source: POSIX.1-2017, pax utility, "ustar Interchange Format".

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "engine.hpp"

namespace sutfleet::docker {

/// @return invalid_input for a path of 100 bytes and more, an absolute one, or one with "..".
Result<std::string> write_tar(const std::vector<VolumeEntry>& entries);

/// The content of the archive's first file, piece by piece as the archive comes.
class TarFile {
  public:
    /// @param sink takes the content until it returns false
    explicit TarFile(const std::function<bool(std::string_view)>& sink) : sink_(sink) {}
    /// @return false: no more is needed
    bool take(std::string_view bytes);
    /// @return not_found when there was no file, invalid_input when it was cut off
    [[nodiscard]] Result<void> finish() const;

  private:
    bool take_header();
    const std::function<bool(std::string_view)>& sink_;
    std::string header_;
    std::size_t left_ = 0;  ///< of the content; of an extended header, with its padding
    bool skips_ = false, begun_ = false, done_ = false;
    std::string wrong_;
};

/// The content of the archive's first entry. @return not_found when that is no file, invalid_input when it is cut off.
Result<std::string> read_tar_file(std::string_view tar);

}  // namespace sutfleet::docker
