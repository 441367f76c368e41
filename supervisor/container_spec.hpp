#pragma once
// From a conf to the container that it asks for, and to what is delivered into it. Pure.

#include <functional>
#include <string>
#include <vector>

#include "confs.hpp"
#include "engine.hpp"
#include "reconcile.hpp"
#include "settings.hpp"

namespace sutfleet {

[[nodiscard]] std::string container_name(const Settings& settings, const SutName& sut);
[[nodiscard]] std::string conf_volume(const Settings& settings, const SutName& sut);
[[nodiscard]] std::string state_volume(const Settings& settings, const SutName& sut);
[[nodiscard]] std::string secrets_volume(const Settings& settings, const SutName& sut);
[[nodiscard]] std::string programs_volume(const Settings& settings, const std::string& build);
[[nodiscard]] std::string image_of(const Settings& settings, const SutConf& conf);
[[nodiscard]] std::map<std::string, std::string> stack_labels(const Settings& settings);
/// Of the containers that are made to reach a volume, and never run an agent.
[[nodiscard]] std::map<std::string, std::string> helper_labels(const Settings& settings);

/// Changes with the keys that shape the container, and with nothing else: not with our own version.
[[nodiscard]] std::string config_hash(const Settings& settings, const SutConf& conf);

struct Owner {
    unsigned uid = 0;
    unsigned gid = 0;
};
/// Of a `user` key or an image's USER: `1000`, `1000:1000`, `jenkins`, `jenkins:jenkins`; nothing is root. What the agent
/// owns, it owns by uid: a group that is a name counts as the user's own. `passwd`: the image's /etc/passwd, asked for only
/// when the user is a name. @return not_found when it has no such user.
Result<Owner> owner_of(const std::string& user, const std::function<Result<std::string>()>& passwd);

[[nodiscard]] AgentContainer container_of(const Settings& settings, const SutName& sut, const SutConf& conf,
                                          const std::string& build, Owner owner, std::size_t agents, int cpus);

/// `health.interval: auto`. An exec costs 60 ms of CPU: the probes of all agents together may take 2 % of the machine.
[[nodiscard]] std::chrono::milliseconds auto_interval(std::size_t agents, int cpus);
/// Of an agent whose conf sets none: enough for most, and not the whole machine.
inline constexpr std::int64_t k_default_memory = std::int64_t{2} << 30;
inline constexpr std::int64_t k_default_pids = 4096;
[[nodiscard]] double default_cpus(int cpus);  ///< all but one; of a single one, three quarters
/// What a plan that makes containers says of it; empty for one that makes none.
[[nodiscard]] std::string interval_line(const Plan& plan, std::size_t agents, int cpus);

/// By which an agent and the broker know each other.
struct BrokerAccess {
    std::string credential;
    std::string authority;  ///< certificates, PEM; empty: no TLS
};

/// The files of one generation of the conf volume, and the links to them.
[[nodiscard]] std::vector<VolumeEntry> conf_entries(const Settings& settings, const SutName& sut, const ConfFile& file,
                                                    const std::string& build, const BrokerAccess& access,
                                                    const std::string& generation, Owner owner);
/// Generations of secrets that were or may have been delivered, and their keys: their values are to be taken away.
using PastSecrets = std::map<std::string, std::vector<std::string>>;
/// One generation of the secrets' volume, each file the agent's alone; those of the past ones are emptied.
[[nodiscard]] std::vector<VolumeEntry> secret_entries(const SecretValues& values, const std::string& generation,
                                                      const PastSecrets& past, Owner owner);
[[nodiscard]] std::string encode_past_secrets(const PastSecrets& past);
/// What is no such record is none.
[[nodiscard]] PastSecrets decode_past_secrets(std::string_view text);

/// Changes with anything that is delivered.
[[nodiscard]] std::string delivery_hash(const Settings& settings, const SutName& sut, const ConfFile& file,
                                        const std::string& authority);

}  // namespace sutfleet
