#pragma once
// What a conf says key by key, and where: for people who ask why a SUT runs as it does. Pure, never throws. Threads: any.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"

namespace sutfleet {

struct ConfKey {
    std::string key;    ///< "timeouts.job", "probes[0].url"
    std::string value;  ///< one line, at most 200 bytes; the values of `env` are not told
    int line = 0;       ///< in the file; 0: the default holds
    bool operator==(const ConfKey&) const = default;
};

/// The keys of the file in its order, then the defaults that it leaves as they are.
/// @return nothing when the text is no conf.
std::vector<ConfKey> conf_keys(const SutName& name, std::string_view text);

/// One line a key: `alpha.conf:12<tab>timeouts.job<tab>1h`, `default<tab>…`.
std::string to_text(std::string_view file, const std::vector<ConfKey>& keys);

/// The keys in which two confs differ: "timeouts.job", "probes". Empty when only spaces, comments or the order do, or when one of
/// them is no conf.
std::set<std::string> changed_keys(std::string_view before, std::string_view after);

}  // namespace sutfleet
