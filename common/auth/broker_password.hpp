#pragma once
// Passwords of the broker's users, and the lines of its password file (Mosquitto's $7$ form: PBKDF2-HMAC-SHA512). Pure but
// for the random bytes. Threads: any.

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace sutfleet::auth {

/// 192 random bits, in letters that no shell and no settings file takes for anything else.
Result<std::string> make_password();
/// `user:$7$iterations$salt$hash`, without a newline.
Result<std::string> password_line(const std::string& user, const std::string& password);
/// The user of such a line; empty for any other text.
[[nodiscard]] std::string user_of_line(std::string_view line);
/// Whether such a line was made of this password.
[[nodiscard]] bool password_is(std::string_view line, std::string_view password);

}  // namespace sutfleet::auth
