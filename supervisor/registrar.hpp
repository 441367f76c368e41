#pragma once
// The broker's users of the agents: makes a password for each, keeps it in the state folder (0600), and writes
// the password file that the broker reads (Mosquitto's $7$ form: PBKDF2-HMAC-SHA512). Main thread only.

#include <map>
#include <set>
#include <string>

#include "core/ids.hpp"
#include "core/result.hpp"

namespace sutfleet {

class Registrar {
  public:
    Registrar(std::string state_dir, std::string auth_dir);
    /// Makes what is missing, writes the password file if it differs.
    Result<void> ensure(const std::set<SutName>& suts);
    Result<void> forget(const SutName& sut);
    /// The password; empty for an unknown SUT.
    [[nodiscard]] std::string credential(const SutName& sut) const;

  private:
    Result<void> write_password_file();
    const std::string folder_;
    const std::string password_file_;
    struct User {
        std::string password;
        std::string line;  ///< of the password file
    };
    std::map<SutName, User> users_;
    std::string written_;
};

}  // namespace sutfleet
