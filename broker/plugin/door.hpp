#pragma once
// Who may come in, and what he may do: passwords and rights from files, which are read again when they have changed. (Mosquitto
// 2.0.11 reads its own at a HUP only, and a HUP harms sessions of clients that are away.) One thread: the broker's.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access_rules.hpp"

namespace sutfleet::broker {

/// Who may have a client id. One that begins with "sutfleet/" goes on with its user's name: "sutfleet/<user>" is a program's,
/// "sutfleet/<user>/…" a person's, and never both, because a SUT may have the name of a person's user. A door for programs
/// takes no other id. Otherwise any user could come with an agent's id: the broker ends that agent's connection and discards
/// what waits in its session.
[[nodiscard]] bool may_have_id(std::string_view id, std::string_view user, bool for_programs);

class Door {
  public:
    struct Files {
        std::vector<std::string> passwords;  ///< lines as mosquitto_passwd(1) writes them, `user:$7$…`
        std::vector<std::string> access;     ///< see AccessRules
    };
    using Warn = std::function<void(const std::string& text)>;

    /// Reads the files. One that is not there is empty: the supervisor makes it. One that cannot be read leaves all as it was,
    /// and is tried again.
    Door(Files files, Warn warn);
    /// Reads what has changed. @return users who are gone or have another password: their connections are to be ended
    std::vector<std::string> refresh();
    [[nodiscard]] bool knows(std::string_view user, std::string_view password) const;
    /// @param user empty: who has no name. One that is in no file has no right, also while his connection lasts.
    [[nodiscard]] bool may(std::string_view user, std::string_view topic, AccessRules::Access wanted) const {
        return (user.empty() || users_.contains(user)) && rules_.may(user, topic, wanted);
    }

  private:
    /// By which a change is seen: files are replaced whole.
    struct Stamp {
        ino_t inode = 0;
        off_t size = 0;
        std::int64_t changed_ns = 0;
        bool operator==(const Stamp&) const = default;
    };
    using Users = std::map<std::string, std::string, std::less<>>;  ///< name -> line of the password file

    static std::vector<Stamp> stamps_of(const std::vector<std::string>& paths);
    /// @return nothing when a file cannot be read
    std::optional<Users> read_users() const;
    std::optional<AccessRules> read_rules() const;
    std::optional<std::string> text_of(const std::string& path) const;

    const Files files_;
    const Warn warn_;
    std::vector<Stamp> passwords_seen_, access_seen_;
    Users users_;
    AccessRules rules_;
};

}  // namespace sutfleet::broker
