#pragma once
// Patterns of file names below a folder, as glob(7) has them: `*` and `?` within one part of the path, `[a-z]`, `[!a-z]`, a
// backslash before what stands for itself; a leading dot only where the pattern has one. RE2 does the work: no pattern makes
// it slow, and none looks at any file. Pure. Threads: any.

#include <memory>
#include <string>
#include <string_view>

namespace sutfleet {

class Glob {
  public:
    /// Of what is no pattern nothing is matched.
    explicit Glob(std::string_view pattern);
    ~Glob();
    Glob(const Glob&) = delete;
    Glob& operator=(const Glob&) = delete;

    /// @param path relative, its parts divided by one '/' each
    [[nodiscard]] bool matches(std::string_view path) const;

  private:
    struct Compiled;
    std::unique_ptr<Compiled> compiled_;
};

}  // namespace sutfleet
