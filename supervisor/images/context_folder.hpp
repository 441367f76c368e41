#pragma once
// The folder of contexts: what each `<name>.yaml` in it says, in its current version. What is not there or breaks a rule
// is an error of the confs that name it, and of nothing else. Main thread only.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/image_context.hpp"
#include "core/timestamp.hpp"

namespace sutfleet {

struct ContextFile {
    std::optional<ImageContext> context;  ///< none while there is an error
    std::string error;                    ///< file:line:column: what was expected
};

class ContextFolder {
  public:
    explicit ContextFolder(std::string folder) : folder_(std::move(folder)) {}
    /// Looks when it is time to. @return the contexts that came, changed or went; a changed archive, Dockerfile or folder
    /// of its own counts as well
    std::set<std::string> look(SteadyTime now);
    void touch() { look_at_ = {}; }
    [[nodiscard]] SteadyTime due() const { return look_at_; }
    /// An error also for one that is not there.
    [[nodiscard]] ContextFile find(const std::string& name) const;
    [[nodiscard]] const std::string& path() const { return folder_; }

  private:
    struct Known {
        ContextFile file;
        std::string stamp, ways;  ///< of the file itself, and of what it names
    };
    bool read(const std::string& name, Known& into) const;
    [[nodiscard]] std::string stamp_of_ways(const std::string& name, const ContextFile& file) const;

    const std::string folder_;
    std::map<std::string, Known> known_;
    SteadyTime look_at_{};
};

inline constexpr std::chrono::seconds k_look_at_contexts{3};  ///< for what nobody tells

}  // namespace sutfleet
