#pragma once
// A job's record: what the agent knows of one job, as it is journalled and published. Pure.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/submitter.hpp"
#include "core/timestamp.hpp"

namespace sutfleet::agent {

enum class JobState { queued, running, succeeded, failed, timed_out, canceled, lost, rejected, expired };

[[nodiscard]] std::string_view to_string(JobState state);
/// A terminal state is final.
[[nodiscard]] bool terminal(JobState state);

struct PhaseResult {
    int exit = 0;
    double seconds = 0;
    bool operator==(const PhaseResult&) const = default;
};

struct Artifact {
    std::string name;      ///< its path under artifacts/
    std::uint64_t bytes = 0;
    std::string sha256{};  ///< hex; empty: not read whole
    bool operator==(const Artifact&) const = default;
};
struct Artifacts {
    std::vector<Artifact> list;
    std::size_t more = 0;  ///< files that the record has no room for
    bool operator==(const Artifacts&) const = default;
};

/// Of a job that comes from a queue for several SUTs: it may start only once it is granted, by the number that it was
/// last offered with, so that no other SUT that it was offered to can start it as well.
struct Handover {
    std::string queue;
    unsigned number = 0;
    bool granted = false;
    std::string offered{};  ///< when, RFC 3339
    bool operator==(const Handover&) const = default;
};

struct JobRecord {
    JobId id;
    std::string sut{};
    JobState state = JobState::queued;
    std::uint64_t version = 1;   ///< grows with each change
    std::uint64_t sequence = 0;  ///< order of acceptance
    unsigned attempt = 1;
    int priority = 0;          ///< the higher the sooner
    std::string expires{};       ///< when it expires in the queue, RFC 3339; empty: never
    bool bare = false;           ///< its submit had no id
    std::string repeat_of{};     ///< a job that it may repeat: it does not start until that is known
    std::string not_before{};    ///< of another attempt, RFC 3339; empty: at once
    std::optional<double> estimate{};  ///< seconds until it starts, by the last run times; shown, not journalled
    std::size_t position = 0;  ///< in the queue; 0 when it does not wait
    std::string phase{};         ///< the one that runs
    std::map<std::string, PhaseResult> phases{};
    std::optional<int> exit{};
    std::string reason{};
    std::string command{};  ///< the first line, cut to k_command_shown bytes
    Submitter submitted_by{};
    std::string content{};  ///< a digest of what was asked for: the same id with another one is refused
    std::string submitted{}, started{}, finished{};  ///< RFC 3339; empty: not yet
    std::uint64_t log_bytes = 0;
    std::uint64_t dropped = 0;
    Artifacts artifacts{};
    int packet = 0;            ///< the packet identifier that a submit without an id came with; 0: it had one
    bool cleanup_due = false;  ///< it was cut off, and its cleanup is still to be done
    std::optional<Handover> handover{};

    /// It is not this SUT's yet, or it never was: nobody is shown it.
    [[nodiscard]] bool only_offered() const { return handover && !handover->granted; }
    bool operator==(const JobRecord&) const = default;
};

inline constexpr std::size_t k_artifacts_shown = 12'000;  ///< bytes of JSON
[[nodiscard]] std::size_t shown_size(const Artifact& artifact);

[[nodiscard]] std::string encode_job_record(const JobRecord& record);
Result<JobRecord> decode_job_record(std::string_view json);

}  // namespace sutfleet::agent
