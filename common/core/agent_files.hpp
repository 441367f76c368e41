#pragma once
// Where an agent's things are inside its container: agreed between the supervisor, which delivers them, and
// the agent's programs. Pure.

#include <string_view>

namespace sutfleet::agent_files {

/// Our programs with their loader and libraries: one read-only volume per build, shared by all agents.
inline constexpr std::string_view k_programs = "/opt/sutfleet";
inline constexpr std::string_view k_agent_entry = "/opt/sutfleet/bin/agent-entry";
/// The same for a broker that is reached by TLS: OpenSSL costs each process that has it 500 KB of memory.
inline constexpr std::string_view k_agent_entry_tls = "/opt/sutfleet/bin/agent-entry-tls";
inline constexpr std::string_view k_healthcheck = "/opt/sutfleet/bin/healthcheck";

/// The conf volume, read-only. Each delivery is a new folder `.g<N>`; `.current` is a link to the newest;
/// each companion `X` is a link `/sut/X -> .current/X`.
inline constexpr std::string_view k_conf = "/sut";
inline constexpr std::string_view k_current = ".current";
inline constexpr std::string_view k_conf_current = "/sut/.current";
/// In the current folder: what the agent runs by (JSON, see conf/agent_conf.hpp) and its broker password.
inline constexpr std::string_view k_agent_conf = "agent.json";
inline constexpr std::string_view k_credential = ".credential";
/// Beside them where the broker is reached by TLS: the certificates by which its own is checked (PEM).
inline constexpr std::string_view k_authority = ".ca.pem";

/// The state volume, read-write: jobs and logs. Survives the container.
inline constexpr std::string_view k_state = "/var/lib/sutfleet";
/// In it: the agent's journal of jobs.
inline constexpr std::string_view k_jobs_journal = "jobs.journal";
/// In it, put there while the SUT has no container: `withdrawn.<job id>`, with the number up to which no grant counts any more.
inline constexpr std::string_view k_withdrawn = "withdrawn.";
/// A small tmpfs: the heartbeat.
inline constexpr std::string_view k_run = "/run/sutfleet";
inline constexpr std::string_view k_heartbeat = "heartbeat";
/// Read-only: a file for each secret.
inline constexpr std::string_view k_secrets = "/run/secrets";

}  // namespace sutfleet::agent_files
