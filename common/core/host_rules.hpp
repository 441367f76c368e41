#pragma once
// What of the host a conf may ask for: whoever may write a conf must not own the host thereby. The stack's owner allows
// more by SUTFLEET_ALLOW_*. It goes by names: links on the host of an engine, which can be another machine, are not seen
// from here, and so below a folder that agents may write nothing but the folder itself is allowed. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet {

struct HostRules {
    struct Path {
        std::string pattern;  ///< `*`, `?` and `[…]` within a part
        bool writable = false;
        bool operator==(const Path&) const = default;
    };
    std::string stack;
    std::string network;               ///< the stack's own
    std::string agent_image;           ///< the stack's own
    std::vector<Path> mounts;          ///< of folders and devices
    std::vector<std::string> volumes;  ///< patterns
    std::vector<std::string> images;   ///< patterns; none: any
    std::vector<std::string> caps;     ///< beside k_harmless_caps
    std::vector<std::string> networks;

    /// @return why not, as "expected …"; empty when it may.
    [[nodiscard]] std::string refuse_mount(const Mount& mount) const;
    [[nodiscard]] std::string refuse_device(std::string_view path) const;
    [[nodiscard]] std::string refuse_image(std::string_view image) const;
    [[nodiscard]] std::string refuse_cap(std::string_view cap) const;
    [[nodiscard]] std::string refuse_network(std::string_view network) const;
};

/// Lists with commas, as they stand in the environment: SUTFLEET_ALLOW_MOUNTS (`/srv/lab,/srv/out=rw,/dev/ttyUSB*,volume`),
/// _IMAGES, _CAPS, _NETWORKS. @return invalid_input that names the variable and the item.
struct AllowLists {
    std::string mounts, images, caps, networks;
};
Result<HostRules> parse_host_rules(const AllowLists& lists);

/// Docker's own default but those that make devices and packets: a forged packet on the stack's network reaches other agents.
inline constexpr std::string_view k_harmless_caps[] = {"AUDIT_WRITE", "CHOWN",  "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",
                                                       "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"};

}  // namespace sutfleet
