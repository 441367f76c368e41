#pragma once
// The Docker Engine API behind the seam of engine.hpp.

#include <functional>
#include <memory>
#include <string>

#include "engine.hpp"
#include "engine_address.hpp"

namespace sutfleet::docker {

/// Does not need the engine to be up: each call says `transient` until it is. Safe to call from several threads.
Result<std::unique_ptr<Engine>> open_docker(const EngineAddress& address);

/// See EngineEvents.
Result<std::unique_ptr<EngineEvents>> watch_docker_events(const EngineAddress& address, std::string stack,
                                                          std::function<void(const EngineChange&)> changed);

inline constexpr const char* k_default_host = "unix:///var/run/docker.sock";

}  // namespace sutfleet::docker
