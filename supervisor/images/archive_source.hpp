#pragma once
// An archive that goes to the engine as what its sha256 says: it is checked before the first byte is sent, and again while
// it is sent: of one that is changed meanwhile the end is not sent. One thread.

#include <cstdint>
#include <functional>
#include <string>

#include "core/result.hpp"
#include "digest/sha256.hpp"
#include "sys/fd.hpp"

namespace sutfleet {

class ArchiveSource {
  public:
    /// @return not_found when the file is not there, invalid_input when a link leads to it, it is no file, is larger than
    /// `limit` or has another sum; transient when `go_on` ended it
    static Result<ArchiveSource> open(const std::string& folder, const std::string& file, const std::string& sha256,
                                      std::uint64_t limit, const std::function<bool()>& go_on);
    /// The next bytes, 0 at the end. @return invalid_input instead of the last ones when the sum is another now
    Result<std::size_t> read(char* into, std::size_t size);

  private:
    ArchiveSource(std::string shown, sys::UniqueFd file, std::uint64_t size, std::string sha256)
        : shown_(std::move(shown)), file_(std::move(file)), left_(size), sha256_(std::move(sha256)) {}
    std::string shown_;
    sys::UniqueFd file_;
    std::uint64_t left_;
    std::string sha256_;
    Sha256 sum_;
};

}  // namespace sutfleet
