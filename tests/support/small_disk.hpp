#pragma once
// A file system of its own, of a few KiB, over a folder. Needs root.

#include <cstddef>
#include <string>

namespace sutfleet::test {

class SmallDisk {
  public:
    /// Throws when it cannot be mounted: a test that cannot run has failed.
    SmallDisk(std::string folder, std::size_t bytes);
    ~SmallDisk();
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;

    /// Takes all room but `left` bytes.
    void fill(std::size_t left = 0) const;
    /// Gives it back.
    void make_room() const;

  private:
    const std::string folder_;
};

}  // namespace sutfleet::test
