#pragma once
// The broker's users of the agents: makes a password for each, keeps it in the state folder (0600), and writes the
// files that the broker reads: passwords (Mosquitto's $7$ form: PBKDF2-HMAC-SHA512), and for each agent the topics that
// it may write beside those of the broker's own access file. Main thread only.

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
    /// The password; empty for an unknown SUT.
    [[nodiscard]] std::string credential(const SutName& sut) const;

  private:
    /// Keeps what was written to it, so that it is written again only when it differs.
    struct AuthFile {
        std::string path;
        std::optional<std::string> written{};
        Result<void> write(const std::string& text);
    };
    Result<void> write_files();
    void recall_topics();
    const std::string folder_;
    AuthFile passwords_;
    AuthFile access_;
    Topics topics_;
    bool unwritten_ = true;
    bool recalled_ = false;  ///< what an earlier life has allowed
    struct User {
        std::string password;
        std::string line;  ///< of the password file
    };
    std::map<SutName, User> users_;
};

}  // namespace sutfleet
