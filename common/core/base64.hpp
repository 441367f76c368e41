#pragma once
// Base64 (RFC 4648, section 4): any bytes as text of a JSON. Pure.

#include <optional>
#include <string>
#include <string_view>

namespace sutfleet {

[[nodiscard]] std::string encode_base64(std::string_view bytes);
/// Nothing for what no encoder makes.
[[nodiscard]] std::optional<std::string> decode_base64(std::string_view text);

}  // namespace sutfleet
