#pragma once
// Tells that something in one folder may have changed (inotify). It says "look again", never what: a lost or
// doubled event costs nothing. A folder that is replaced or removed is reported by gone().

#include <functional>
#include <string>

#include "core/result.hpp"
#include "sys/fd.hpp"

namespace sutfleet::sys {

class DirWatch {
  public:
    static Result<DirWatch> open(const std::string& folder);
    [[nodiscard]] int fd() const { return fd_.get(); }
    /// Takes all pending events and names the files that they are about; "" when events were lost.
    /// @return true when the folder itself went away: open a new watch.
    bool drain(const std::function<void(const std::string& name)>& each = {});

  private:
    explicit DirWatch(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace sutfleet::sys
