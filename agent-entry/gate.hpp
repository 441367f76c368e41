#pragma once
// What keeps jobs away: maintenance or a drain, until `resume`, and no room for what they would write, until there is. A hold
// keeps them waiting only, for a while: the supervisor has something to do behind the running one.
// The first two are a file each in the state folder, since an agent's death repairs no device and overrules no person;
// what cannot be written still holds in this life.
// Main thread only.

#include <string>
#include <utility>

#include "core/timestamp.hpp"

namespace sutfleet::agent {

class Gate {
  public:
    /// As an earlier life left it.
    explicit Gate(const std::string& state_folder);

    void maintain(const std::string& why);
    void drain();
    void resume();
    void hold(SteadyTime until, std::string why);
    /// Why no job is started, though they are taken; empty: they are.
    [[nodiscard]] std::string held(SteadyTime now) const { return now < held_until_ ? held_ : std::string(); }
    /// Why there is no room; empty: there is. @return whether that is new
    bool set_no_room(const std::string& why) { return std::exchange(no_room_, why) != why; }

    [[nodiscard]] const std::string& maintenance() const { return maintenance_; }  ///< why; empty: not in maintenance
    [[nodiscard]] bool draining() const { return !draining_.empty(); }
    /// Why no job is taken; empty: jobs are taken.
    [[nodiscard]] std::string refusal() const;

  private:
    const std::string maintenance_file_, draining_file_;
    std::string maintenance_, draining_, no_room_, held_;
    SteadyTime held_until_{};
};

}  // namespace sutfleet::agent
