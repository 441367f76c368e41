#pragma once
// The kept secrets: a folder with a file for each one that all SUTs share (`<KEY>`) and a folder of each SUT's own
// (`<sut>/<KEY>`), which goes first. It reads those that confs ask for, again when a file changed. Values stay in memory and
// go to their agent; nothing here is logged or published but keys and paths. Main thread only.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/secret_rules.hpp"
#include "core/timestamp.hpp"
#include "sys/dir_watch.hpp"

namespace sutfleet {

class SecretStore {
  public:
    using Keys = std::map<std::string, std::string>;  ///< key -> name of the kept secret

    explicit SecretStore(std::string folder) : folder_(std::move(folder)) {}

    /// What the SUT's conf asks for; nothing forgets it.
    void want(const SutName& sut, const Keys& keys);
    /// Reads what changed, and what was newly asked for. @return the SUTs that were read
    std::set<SutName> look(SteadyTime now);
    [[nodiscard]] std::optional<SteadyTime> due() const;
    /// Readable when it is worth a look; -1: nothing to watch.
    [[nodiscard]] int fd() const { return watch_ ? watch_->fd() : -1; }
    [[nodiscard]] const SecretValues& values(const SutName& sut) const;
    /// Which keys are missing and what to do, in one line; empty when all are there.
    [[nodiscard]] std::string trouble(const SutName& sut) const;

    /// Once, without a watch. @return invalid_input with the trouble
    static Result<SecretValues> read(const std::string& folder, const SutName& sut, const Keys& keys);

  private:
    struct Entry {
        Keys keys;
        std::string stamp;  ///< of the files that were read
        SecretValues values{};
        std::string trouble{};
    };
    [[nodiscard]] std::string stamp(const SutName& sut, const Keys& keys) const;
    void watch();

    const std::string folder_;
    std::optional<sys::DirWatch> watch_;
    std::map<SutName, Entry> entries_;
    bool fresh_ = false;  ///< something was asked for since the last look
    SteadyTime next_{};
};

/// How often it looks for what nobody told: a file that was changed by hand in a SUT's folder.
inline constexpr std::chrono::seconds k_secrets_again{10};

}  // namespace sutfleet
