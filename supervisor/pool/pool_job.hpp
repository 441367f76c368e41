#pragma once
// A job of a queue that several SUTs may serve, as the supervisor journals and shows it. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/submitter.hpp"
#include "core/timestamp.hpp"

namespace sutfleet {

struct PoolJob {
    /// From `granted` on it is the SUT's own: only that SUT's word, or what its journal says, ends it or frees it.
    enum class State { waiting, offered, granted, ended };

    JobId id;
    std::string queue{};
    State state = State::waiting;
    std::uint64_t sequence = 0;  ///< order of acceptance
    int priority = 0;            ///< the higher the sooner
    std::string command{};       ///< its first line
    Submitter submitted_by{};
    std::string content{};       ///< digest of what was asked for
    std::string submitted{}, expires{}, finished{};  ///< RFC 3339; empty: never, or not yet
    std::string sut{};           ///< that has it, or had it last
    unsigned number = 0;         ///< of its newest offer; no two offers of a job have the same
    bool cancel = false;         ///< asked for after the grant: the SUT is to end it
    std::string result{};        ///< of an ended one: SUCCEEDED, FAILED, …
    std::string reason{};
    std::optional<int> exit{};
    bool operator==(const PoolJob&) const = default;
};

/// As it is journalled.
[[nodiscard]] std::string encode_pool_job(const PoolJob& job);
Result<PoolJob> decode_pool_job(std::string_view json);

/// The order in which jobs are handed out.
[[nodiscard]] bool sooner(const PoolJob& a, const PoolJob& b);

}  // namespace sutfleet
