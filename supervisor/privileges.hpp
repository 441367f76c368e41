#pragma once
// Started as root, the supervisor keeps of it only what the engine's socket needs: the socket's group, found here.

#include <string>

#include "core/result.hpp"

namespace sutfleet {

/// The user that the supervisor runs as; its state belongs to it.
inline constexpr unsigned k_supervisor_uid = 10001;

/// Does nothing unless run as root and SUTFLEET_DROP_PRIVILEGES is "1". With the socket's group it changes to k_supervisor_uid for good.
Result<void> drop_privileges(const std::string& docker_host);

}  // namespace sutfleet
