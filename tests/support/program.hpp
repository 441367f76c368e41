#pragma once
// A program as a child of the test, with its output in a file; ended with the object.

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "private_broker.hpp"

namespace sutfleet::test {

using Environment = std::vector<std::pair<std::string, std::string>>;

class Program {
  public:
    /// With the test's own environment and `environment` over it. Throws when it cannot be started.
    explicit Program(std::vector<std::string> argv, const Environment& environment = {}, const std::string& folder = {});
    ~Program();  ///< TERM, and waits; KILL if need be
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;

    [[nodiscard]] std::string out() const;  ///< stdout, then stderr
    /// Waits until its output contains the text.
    [[nodiscard]] bool says(const std::string& text) const;
    [[nodiscard]] int end(int signal);  ///< sends it and waits. @return the exit code
    [[nodiscard]] int wait();           ///< @return the exit code

  private:
    std::optional<int> ended();
    TempFolder folder_;
    pid_t pid_ = -1;
    std::optional<int> code_;
};

struct Ran {
    int exit = -1;
    std::string out;  ///< stdout, then stderr
};
/// Runs it to its end.
Ran run(std::vector<std::string> argv, const Environment& environment = {}, const std::string& folder = {});

/// A supervisor without an engine, with the confs (file name -> text), which are in `folder()`.
class BlindSupervisor {
  public:
    BlindSupervisor(const std::string& program, const std::string& broker_url, const std::map<std::string, std::string>& confs,
                    const Environment& environment = {});
    [[nodiscard]] const std::string& folder() const { return confs_.path(); }

  private:
    TempFolder confs_, state_;
    std::optional<Program> program_;
};

}  // namespace sutfleet::test
