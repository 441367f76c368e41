#pragma once
// All that is known of one SUT, put together from its topics and the supervisor's answers. Pure.

#include <map>
#include <string>
#include <string_view>

#include "core/timestamp.hpp"
#include "screen.hpp"

namespace sutfleet::ctl {

class SutDescription {
  public:
    explicit SutDescription(std::string name) : name_(std::move(name)) {}

    /// `level`: what follows `<sut>/`; `report` for the supervisor's `fleet/sut/<sut>`.
    void hear(std::string_view level, std::string_view payload) { told_[std::string(level)] = payload; }
    /// The conf as `fleet/cmd/conf` tells it: origin, key, value, parted by tabs.
    void set_conf(std::string text) { conf_ = std::move(text); }
    /// Why there is no conf to show.
    void set_conf_error(std::string why) { conf_error_ = std::move(why); }
    [[nodiscard]] bool known() const { return !told_.empty(); }

    [[nodiscard]] std::string text(const Screen& screen, WallTime now) const;
    [[nodiscard]] std::string json() const;

  private:
    [[nodiscard]] std::string told(const std::string& level) const;

    std::string name_;
    std::map<std::string, std::string> told_;
    std::string conf_, conf_error_;
};

}  // namespace sutfleet::ctl
