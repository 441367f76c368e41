#pragma once
// A Mosquitto of the test's own on a free port of 127.0.0.1, with a folder that goes with it.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>

#include "sys/fd.hpp"

namespace sutfleet::test {

/// A folder under $TMPDIR that is removed at the end.
class TempFolder {
  public:
    TempFolder();
    ~TempFolder();
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_;
};

/// One that this process has not had before: a port that is free again may be another broker's in the next moment.
int free_port();

class PrivateBroker {
  public:
    /// Throws when no broker can be started: a test that cannot run has failed.
    /// @param first what its configuration begins with, before the listener; @param extra_conf what it ends with
    explicit PrivateBroker(const std::string& extra_conf = {}, const std::string& first = {});
    ~PrivateBroker();
    PrivateBroker(const PrivateBroker&) = delete;
    PrivateBroker& operator=(const PrivateBroker&) = delete;

    [[nodiscard]] std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }
    [[nodiscard]] int port() const { return port_; }
    [[nodiscard]] pid_t pid() const { return pid_; }
    void kill();   ///< -9: what came since its last save is lost
    void lose();   ///< -9, and its store is gone
    void stop();   ///< by TERM: it saves its sessions
    void start();  ///< on the same port, and waits until it answers

  private:
    void end(int signal);
    void write_conf(const std::string& extra_conf, const std::string& first) const;
    /// @return false when it ended at once: it could not have its port
    bool try_start();
    TempFolder folder_;
    int port_ = 0;
    pid_t pid_ = -1;
};

/// Takes connections on a free port of 127.0.0.1 and never says a word.
class SilentServer {
  public:
    SilentServer();
    [[nodiscard]] std::string url() const { return "mqtt://127.0.0.1:" + std::to_string(port_); }

  private:
    sys::UniqueFd fd_;
    int port_ = 0;
};

/// No broker: for what must not wait for one.
inline constexpr const char* k_nowhere = "mqtt://127.0.0.1:1";

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Asks until it is so. @return false after the limit.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds{20});

}  // namespace sutfleet::test
