#pragma once
// Decoder of `sut/<name>.conf`: YAML 1.2 (so JSON too) to a checked SutConf. A testflinger-agent
// conf is accepted unchanged. Never throws; no file access. Threads: any.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "core/host_rules.hpp"
#include "core/ids.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet {

/// One broken rule: where (1-based), which key, what was expected.
struct ConfError {
    int line = 0;
    int column = 0;
    std::string message;  ///< "'cpus': expected a number above 0, found 'many'"
    bool operator==(const ConfError&) const = default;
};

/// `file:line:column: message`
[[nodiscard]] std::string to_string(std::string_view file, const ConfError& error);

inline constexpr std::size_t k_conf_limit = 256 * 1024;  ///< bytes; a larger conf is an error

inline constexpr std::size_t k_conf_errors = 50;  ///< told of one conf; the last one counts the others

/// Every broken rule of the text, not only the first. `rules`: what the host gives; null: all.
tl::expected<SutConf, std::vector<ConfError>> decode_sut_conf(const SutName& name, std::string_view text,
                                                              const HostRules* rules = nullptr);

}  // namespace sutfleet
