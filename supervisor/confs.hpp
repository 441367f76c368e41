#pragma once
// The folder of confs: which SUTs are asked for, with what. A conf must be absent for 3 s in a folder that could
// be read before it counts as gone; an unreadable folder is unknown, never empty. Main thread only.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/sut_conf.hpp"
#include "core/timestamp.hpp"

namespace sutfleet {

struct Companion {
    std::string name;
    std::string content;
    bool operator==(const Companion&) const = default;
};

struct ConfFile {
    std::optional<SutConf> conf;  ///< the newest that was right, also while the file has an error
    std::string error;            ///< file:line:column: what was expected; empty when right
    std::vector<Companion> companions;  ///< the conf itself and its companions
};

class ConfFolder {
  public:
    explicit ConfFolder(std::string folder) : folder_(std::move(folder)) {}

    /// Looks at all files. @return when to look again because something is absent or half-written.
    std::optional<SteadyTime> scan(SteadyTime now);
    [[nodiscard]] const std::map<SutName, ConfFile>& files() const { return files_; }
    /// Files that look like confs but whose name breaks the rule, and a folder that cannot be read.
    [[nodiscard]] const std::map<std::string, std::string>& complaints() const { return complaints_; }
    /// False until the folder was read once.
    [[nodiscard]] bool known() const { return known_; }

  private:
    void read(const SutName& sut, const std::vector<std::string>& names);

    const std::string folder_;
    std::map<SutName, ConfFile> files_;
    std::map<SutName, SteadyTime> absent_since_;
    std::map<std::string, std::string> complaints_;
    bool known_ = false;
};

inline constexpr std::chrono::seconds k_absence{3};

}  // namespace sutfleet
