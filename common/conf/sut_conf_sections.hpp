#pragma once
// The parts of a conf, each read by one function from the root map. Internal to conf/.

#include "conf/sut_conf_reader.hpp"
#include "core/host_rules.hpp"

namespace sutfleet::conf {

/// What the agent runs by: command, restart, queues, phases, timeouts, health, env.
void read_agent(MapReader& root, SutConf& out);
/// What shapes the container: image, mounts, devices, network, resources, user, cap_add.
void read_container(MapReader& root, SutConf& out);
/// What the agent keeps going beside its command: init, services, renew, probes.
void read_household(MapReader& root, HouseholdRules& out);
/// What may be submitted: submit.
void read_submit(MapReader& root, SubmitPolicy& out);
/// The secrets, by key; each also sets its `<KEY>_FILE` in env, so read that before.
void read_secrets(MapReader& root, SutConf& out);
/// Whether the host may give what the container asks for.
void check_host(MapReader& root, const HostRules& rules);
/// The published keys of a testflinger-agent conf.
void read_testflinger(MapReader& root, SutConf& out);

/// A text without spaces and such, as every reference, name and path of the engine is.
void read_reference(MapReader& map, std::string_view key, std::string_view expected, std::string& out);
/// At most k_conf_errors of them: a broken conf can have thousands.
std::vector<ConfError> shown(std::vector<ConfError> errors);

inline constexpr std::string_view k_phase_names[] = {
    "setup", "provision", "firmware_update", "test", "allocate", "reserve", "cleanup"};

}  // namespace sutfleet::conf
