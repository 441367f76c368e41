#pragma once
// A journal written anew with what still counts of each job. Threads: as the journal's.

#include <algorithm>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "job/journal.hpp"

namespace sutfleet {

inline constexpr std::uint64_t k_nowhere = std::numeric_limits<std::uint64_t>::max();  ///< no entry can be read there

/// Where a job's entries are in the journal.
struct JournalPlace {
    std::uint64_t sequence = 0;    ///< the order of the jobs
    std::uint64_t request_at = k_nowhere;  ///< offset of the entry with the request,
    std::uint64_t record_at = k_nowhere;   ///< and of the newest one
};

enum class Keep { nothing, record, all };

/// `keep(id, younger, record)` says what counts of a job; `younger`: how many came after it. `Known` is a JournalPlace or more.
/// @return an error when something cannot be read or written: then journal and `known` are as they were
template <class Known, class Decide>
Result<void> compact(JobJournal& journal, std::map<JobId, Known>& known, const Decide& keep) {
    std::vector<std::pair<const JobId, Known>*> order, kept;
    for (auto& one : known) order.push_back(&one);
    std::ranges::sort(order, {}, [](const auto* one) { return one->second.sequence; });
    std::vector<JournalEntry> entries;
    std::vector<JobId> dropped;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto& [id, place] = *order[i];
        auto newest = journal.read(place.record_at);
        if (!newest) return fail(newest.error());
        const auto what = keep(id, order.size() - i - 1, newest->record);
        if (what == Keep::nothing) {
            dropped.push_back(id);
            continue;
        }
        auto first = what == Keep::all ? journal.read(place.request_at) : Result<JournalEntry>(JournalEntry{});
        if (!first) return fail(first.error());
        entries.push_back({std::move(newest->record), std::move(first->request)});
        kept.push_back(order[i]);
    }
    const auto offsets = journal.rewrite(entries);
    if (!offsets) return fail(offsets.error());
    for (std::size_t i = 0; i < kept.size(); ++i) kept[i]->second.request_at = kept[i]->second.record_at = (*offsets)[i];
    for (const auto& id : dropped) known.erase(id);
    return {};
}

}  // namespace sutfleet
