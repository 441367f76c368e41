#pragma once
// The broker's users: makes a password for each agent, keeps it in the state folder (0600), and writes the files that the
// broker reads: passwords, and for each agent the topics that it may write beside those of the broker's own access file.
// A new password is made beside the old one, and becomes the broker's only when the agent has it; a life that ends between
// is taken up by the next. Main thread only.

#include <map>
#include <optional>
#include <set>
#include <string>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace sutfleet {

class Registrar {
  public:
    Registrar(std::string state_dir, const std::string& auth_dir);
    /// Of each SUT the topics of its probes. A pattern of Mosquitto could not name them: `%u/+` lets an agent write its own
    /// submit, too, and a `deny` takes reading away with writing.
    using Topics = std::map<SutName, std::set<std::string>>;
    /// Makes what is missing, writes the files that differ. A topic stays allowed until its SUT goes, so that the agent can
    /// clear what is not in its conf any more.
    Result<void> ensure(const Topics& suts);
    Result<void> forget(const SutName& sut);
    /// Writes again what the files do not have any more.
    Result<void> restore();
    /// The password that the broker takes; empty for an unknown SUT.
    [[nodiscard]] std::string credential(const SutName& sut) const;
    /// The one to deliver: a new one, where one was made.
    [[nodiscard]] std::string newest(const SutName& sut) const;
    [[nodiscard]] bool rotating(const SutName& sut) const { return newest(sut) != credential(sut); }
    [[nodiscard]] std::set<SutName> suts() const;

    /// Makes a new password. @return not_found for an unknown SUT
    Result<void> rotate(const SutName& sut);
    /// The agent has this one: if it is the new one, it becomes the broker's, which then ends the agent's connection.
    Result<void> delivered(const SutName& sut, const std::string& password);
    /// Makes a new one for the supervisor itself, beside the one in `password_file`.
    Result<void> begin_own(const std::string& password_file);
    /// It counts from now on, if there is one: the broker ends the supervisor's connections, and they come back with it.
    Result<void> finish_own(const std::string& password_file);
    /// Makes a new password for `console`, the user of sutctl beside the supervisor, and tells it in `file`, as settings of
    /// sutctl: for whoever may enter the container, by any user there. It is kept nowhere else.
    Result<void> open_console(const std::string& file, const std::string& broker, bool open_bench);
    /// A person's: the line for the broker's file. @return invalid_input for anything but a line of `operator` or `viewer`
    Result<void> set_person(const std::string& line);

  private:
    /// Keeps what was written to it, so that it is written again only when it differs.
    struct AuthFile {
        std::string path;
        std::optional<std::string> written{};
        Result<void> write(const std::string& text);
    };
    struct User {
        std::string password;
        std::string line;  ///< of the password file
        std::string next;  ///< to be the password; empty: none
    };
    /// What an earlier life has told the broker: users keep their lines, so that no connection is ended for a new salt.
    void recall_users();
    Result<User> make_user(const SutName& sut, std::string_view earlier_line);
    [[nodiscard]] std::string path_of(const SutName& sut) const { return folder_ + "/" + sut.str(); }
    Result<void> write_files();
    void recall_topics();

    const std::string folder_;
    const std::string auth_dir_;
    AuthFile passwords_;
    AuthFile access_;
    AuthFile console_;
    Topics topics_;
    bool unwritten_ = true;
    bool recalled_ = false;  ///< what an earlier life has allowed
    std::map<SutName, User> users_;
};

}  // namespace sutfleet
