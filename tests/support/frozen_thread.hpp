#pragma once
// Stops one thread of a child process, as a debugger does, while its others run on: how a hang of that thread looks.

#include <string>

#include <sys/types.h>

namespace sutfleet::test {

class FrozenThread {
  public:
    /// `name`: as /proc shows it. Throws when there is no such thread or it cannot be stopped.
    FrozenThread(pid_t process, const std::string& name);
    /// It runs on.
    ~FrozenThread();
    FrozenThread(const FrozenThread&) = delete;
    FrozenThread& operator=(const FrozenThread&) = delete;

  private:
    pid_t thread_;
};

}  // namespace sutfleet::test
