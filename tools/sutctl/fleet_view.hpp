#pragma once
// The fleet as its retained topics tell it, and how `ps` shows it. Pure.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/timestamp.hpp"
#include "core/topics.hpp"
#include "screen.hpp"

namespace sutfleet::ctl {

class FleetView {
  public:
    explicit FleetView(Topics topics) : topics_(std::move(topics)) {}

    void hear(std::string_view topic, std::string_view payload);
    /// Before all that is retained comes anew: nobody tells what was cleared in between.
    void forget() { *this = FleetView(std::move(topics_)); }
    [[nodiscard]] const std::string& supervisor() const {
        return supervisor_;
    }  ///< `online`, `offline` or empty
    [[nodiscard]] std::vector<std::string> names() const;
    /// Those that should be well and are not.
    [[nodiscard]] std::vector<std::string> unwell() const;
    /// A head line and one row a SUT, in the order of the names.
    [[nodiscard]] std::vector<std::vector<Cell>> table(WallTime now) const;
    /// One JSON object a SUT.
    [[nodiscard]] std::vector<std::string> json_lines() const;

  private:
    struct Sut {
        std::string agent;                ///< the text of <sut>/agent
        std::string state, jobs, report;  ///< JSON texts as they came
    };
    [[nodiscard]] static std::vector<Cell> row(const std::string& name, const Sut& sut, WallTime now);

    Topics topics_;
    std::string supervisor_;
    std::map<std::string, Sut> suts_;
};

/// As the engine tells times: any number of digits behind the second, UTC.
[[nodiscard]] std::optional<WallTime> parse_time(std::string_view rfc3339);
/// How long ago, in the largest unit that fits: `45s`, `12m`, `3h`, `9d`. Empty for what is no time, as of an engine.
[[nodiscard]] std::string age_of(std::string_view rfc3339, WallTime now);

}  // namespace sutfleet::ctl
