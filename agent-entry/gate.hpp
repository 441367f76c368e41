#pragma once
// What keeps jobs away until `resume`: maintenance or a drain. It is a file for each in the state folder, since an
// agent's death repairs no device and overrules no person. What cannot be written still holds in this life.
// Main thread only.

#include <string>

namespace sutfleet::agent {

class Gate {
  public:
    /// As an earlier life left it.
    explicit Gate(const std::string& state_folder);

    void maintain(const std::string& why);
    void drain();
    void resume();

    [[nodiscard]] const std::string& maintenance() const { return maintenance_; }  ///< why; empty: not in maintenance
    [[nodiscard]] bool draining() const { return !draining_.empty(); }
    /// Why no job is taken; empty: jobs are taken.
    [[nodiscard]] std::string refusal() const;

  private:
    const std::string maintenance_file_, draining_file_;
    std::string maintenance_, draining_;
};

}  // namespace sutfleet::agent
