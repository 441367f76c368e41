#pragma once
// What the payload of a command says: `<sut>/cmd/<verb>`. Pure; never throws.

#include <string>
#include <string_view>

namespace sutfleet::agent {

/// Raw text without blanks behind it, or `argument` (or `id`) of a JSON object; empty when there is none.
[[nodiscard]] std::string command_argument(std::string_view payload);
/// `transaction` of a JSON object, as JSON; "null" when there is none, or it is too deep to be sent back, or too large.
[[nodiscard]] std::string command_transaction(std::string_view payload);

}  // namespace sutfleet::agent
