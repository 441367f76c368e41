#pragma once
// What a kept secret is called, where it lies, and what is no secret yet. Values never get into a message. Pure.

#include <map>
#include <string>
#include <string_view>

namespace sutfleet {

/// Of one SUT, by key.
using SecretValues = std::map<std::string, std::string>;

inline constexpr std::size_t k_secret_limit = 64 * 1024;  ///< bytes of a value
inline constexpr std::size_t k_secrets_most = 50;         ///< of one SUT

/// A-Z, 0-9 and '_', not a digit first, at most 64. No SUT is called so: a folder of a SUT's secrets and a file that all
/// SUTs share lie side by side.
[[nodiscard]] bool is_secret_key(std::string_view key);
inline constexpr std::string_view k_secret_key_rule = "a key such as WIFI_PASSWORD (A-Z, 0-9 and '_', at most 64)";

/// Nothing but white space, or a word that stands for a value that somebody forgot to put there.
[[nodiscard]] bool is_placeholder(std::string_view value);

}  // namespace sutfleet
