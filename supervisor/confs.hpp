#pragma once
// The folder of confs: which SUTs are asked for, with what. A conf must be absent for 3 s in a folder that could
// be read before it counts as gone; an unreadable folder is unknown, never empty. A file is read only when it
// changed, and only once it has settled: a program that writes it must not be overtaken. A change that was told looks
// at that SUT's files only; a slow look at all of them finds what nobody told. Main thread only.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/host_rules.hpp"
#include "core/ids.hpp"
#include "core/secret_rules.hpp"
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
    SecretValues secrets{};             ///< that the conf asks for, see set_secrets
    std::string secrets_error{};        ///< which of them are not there
    std::set<std::string> changed{};    ///< keys, companions and secrets that have since `take_what_changed`

    /// Why it does not run; empty when it does.
    [[nodiscard]] const std::string& trouble() const { return error.empty() ? secrets_error : error; }
};

class ConfFolder {
  public:
    /// `rules`: what the host gives to confs, outlives this; null: all.
    explicit ConfFolder(std::string folder, const HostRules* rules = nullptr) : folder_(std::move(folder)), rules_(rules) {}

    /// Looks at all files. @return when to look again because something is absent or half-written.
    std::optional<SteadyTime> scan(SteadyTime now);
    /// Notes that this file may have changed.
    void touch(const std::string& name);
    /// Looks at what was touched, is absent or half-written; at all files at first, after `touch_all`, while the folder
    /// cannot be read, and every k_scan_all. @return when to look again
    std::optional<SteadyTime> look(SteadyTime now);
    void touch_all() { scan_at_ = {}; }
    /// What was found of the secrets that a conf asks for. @param error empty when all are there
    void set_secrets(const SutName& sut, const SecretValues& values, const std::string& error);
    /// What of a SUT's files and secrets has changed since the last call, in a person's words.
    [[nodiscard]] std::set<std::string> take_what_changed(const SutName& sut);
    /// The SUTs whose files came, changed or went since the last call.
    [[nodiscard]] std::set<SutName> take_changed() { return std::exchange(changed_, {}); }
    [[nodiscard]] const std::map<SutName, ConfFile>& files() const { return files_; }
    /// Files that look like confs but whose name breaks the rule, and a folder that cannot be read.
    [[nodiscard]] const std::map<std::string, std::string>& complaints() const { return complaints_; }
    /// False until the folder was read once.
    [[nodiscard]] bool known() const { return known_; }

  private:
    /// What stat(2) says of a conf and its companions: equal as long as none of them changed.
    struct Stamps {
        std::string taken;  ///< of what was read
        std::string seen;
        SteadyTime seen_at{};
    };
    [[nodiscard]] std::vector<std::string> files_of(const SutName& sut) const;
    [[nodiscard]] std::string stamp(const std::vector<std::string>& names) const;
    void look_at(const SutName& sut, SteadyTime now);
    void look_at_present(const SutName& sut, SteadyTime now);
    void look_at_absent(const SutName& sut, SteadyTime now);
    [[nodiscard]] std::optional<SteadyTime> again() const;
    void read(const SutName& sut, const std::vector<std::string>& names);

    const std::string folder_;
    const HostRules* const rules_;
    std::map<SutName, ConfFile> files_;
    std::map<SutName, Stamps> stamps_;
    std::map<SutName, SteadyTime> absent_since_;
    std::set<std::string> names_;               ///< all that is in the folder
    std::set<SutName> touched_;
    std::map<SutName, SteadyTime> pending_;     ///< absent or half-written: when to look again
    std::set<SutName> changed_;
    SteadyTime scan_at_{};
    bool first_ = true;                         ///< the first look takes what is there
    std::map<std::string, std::string> complaints_;
    bool known_ = false;
};

inline constexpr std::chrono::seconds k_absence{3};
inline constexpr std::chrono::seconds k_scan_all{10};  ///< for a file system that tells of no change, and for links
inline constexpr std::chrono::milliseconds k_settled{10};  ///< unchanged for so long: no longer being written

}  // namespace sutfleet
