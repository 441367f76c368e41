#pragma once
// One SUT's conf, checked: what `sut/<name>.conf` says, with every default filled in. Pure data; the YAML
// decoder (conf/) makes it, the supervisor decides by it, the agent receives the part that it runs by.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sutfleet {

/// A command: an argv, or one string for `/bin/sh -c`.
struct Command {
    std::vector<std::string> argv;  ///< never empty; {"/bin/sh", "-c", text} for a string
    bool operator==(const Command&) const = default;
};

enum class RestartPolicy { always, on_failure, no };

struct Timeouts {
    std::chrono::milliseconds job{std::chrono::hours{4}};
    std::chrono::milliseconds output{std::chrono::minutes{15}};  ///< silence, in the test phase
    std::chrono::milliseconds stop{std::chrono::seconds{10}};    ///< TERM to KILL
    std::optional<std::chrono::milliseconds> queue;              ///< none: wait for ever
    bool operator==(const Timeouts&) const = default;
};

struct HealthRules {
    std::chrono::milliseconds heartbeat{std::chrono::seconds{5}};
    std::chrono::milliseconds max_age{std::chrono::seconds{20}};
    std::optional<std::chrono::milliseconds> interval;  ///< of the engine's probe; none: auto
    std::optional<std::chrono::milliseconds> silence;   ///< none: off
    std::vector<std::string> unhealthy_on;              ///< regular expressions (RE2)
    std::vector<std::string> clear_on;
    bool restart_on_unhealthy = true;
    bool operator==(const HealthRules&) const = default;
};

/// What is kept of ended jobs, and how they are canceled.
struct JobRules {
    std::chrono::milliseconds keep{std::chrono::days{14}};  ///< a job's folder, after its end
    std::int64_t max_bytes = std::int64_t{2} << 30;         ///< of all folders; the oldest go first
    std::vector<std::string> protected_phases{"provision"}; ///< a cancel lets them end first
    bool operator==(const JobRules&) const = default;
};

/// Done once per build of the agent, in order, before the command starts.
struct InitStep {
    std::string name;
    Command run;
    bool operator==(const InitStep&) const = default;
};

/// A further process that is kept running.
struct Service {
    std::string name;
    Command command;
    bool operator==(const Service&) const = default;
};

struct Renewal {
    std::string name;
    Command run;
    std::chrono::milliseconds every{};
    bool operator==(const Renewal&) const = default;
};

struct Probe {
    std::string name;  ///< also the topic level under the SUT
    std::string url;   ///< http:// or https://
    std::chrono::milliseconds every{std::chrono::minutes{10}};
    std::chrono::milliseconds timeout{std::chrono::seconds{30}};
    bool operator==(const Probe&) const = default;
};

/// What the agent keeps going beside its command and its jobs. Names differ within each list.
struct HouseholdRules {
    std::vector<InitStep> init;
    std::vector<Service> services;
    std::vector<Renewal> renewals;
    std::vector<Probe> probes;
    bool operator==(const HouseholdRules&) const = default;
};

inline constexpr std::uint64_t k_log_least = 64 * 1024;
inline constexpr std::uint64_t k_log_limit = std::uint64_t{1} << 40;
inline constexpr unsigned k_log_keep_limit = 100;

/// One typed value that a submitter may choose.
struct CommandParameter {
    enum class Type { integer, number, boolean, choice, text } type = Type::text;
    double min = -9007199254740992.0;  ///< of integer and number: as far as a double is exact for whole numbers
    double max = 9007199254740992.0;
    std::vector<std::string> values;   ///< of choice
    std::string match;                 ///< of text: a regular expression (RE2) for the whole of it; empty: any
    std::size_t max_length = 200;      ///< of text, bytes
    std::optional<std::string> preset; ///< when none is given; none: it must be
    bool operator==(const CommandParameter&) const = default;
};

/// A command that may be submitted by its name.
struct NamedCommand {
    std::vector<std::string> run;  ///< an argv in which `{parameter}` stands for its value
    std::map<std::string, CommandParameter> parameters;
    bool operator==(const NamedCommand&) const = default;
};

/// What may be submitted.
struct SubmitPolicy {
    bool shell = true;  ///< any text; false: only the named commands, and nothing beside them that a process would see
    std::map<std::string, NamedCommand> commands;
    bool operator==(const SubmitPolicy&) const = default;
};

/// The rotated agent.log.
struct LogRules {
    std::uint64_t max_bytes = std::uint64_t{10} << 20;  ///< of one file
    unsigned keep = 5;                                  ///< rotated files beside it
    bool operator==(const LogRules&) const = default;
};

/// What the agent itself runs by: reloaded in place when it changes.
struct AgentRules {
    std::optional<Command> command;
    RestartPolicy restart = RestartPolicy::on_failure;
    std::vector<std::string> queues;
    std::map<std::string, Command> phases;
    JobRules jobs;
    LogRules log;
    Timeouts timeouts;
    HealthRules health;
    std::map<std::string, std::string> env;
    HouseholdRules household{};
    SubmitPolicy submit{};
    bool operator==(const AgentRules&) const = default;
};

struct Mount {
    std::string source;
    std::string target;
    bool writable = false;
    bool operator==(const Mount&) const = default;
};

/// What shapes the container: a change recreates it.
struct ContainerShape {
    std::string image;                  ///< empty: the stack's
    std::string context;                ///< empty: none
    std::vector<Mount> mounts;
    std::vector<std::string> devices;
    std::string network;                ///< empty: the stack's
    std::optional<std::int64_t> memory; ///< bytes
    std::optional<double> cpus;
    std::optional<std::int64_t> pids;
    std::string user;                   ///< empty: the image's own
    std::vector<std::string> cap_add;
    bool operator==(const ContainerShape&) const = default;
};

struct SutConf {
    std::string description;
    std::map<std::string, std::string> labels;
    bool enabled = true;
    AgentRules agent;
    ContainerShape container;
    std::map<std::string, std::string> secrets;  ///< key -> name of the kept secret; never a value
    /// What is valid and has no effect here, for a warning.
    std::vector<std::string> not_acted_on;
    bool operator==(const SutConf&) const = default;
};

}  // namespace sutfleet
