#pragma once
// The jobs' journal: one file, appended to and synced; the newest entry of a job is the truth about it. An entry is
//   <digest of all that follows the space, 16 hex digits> <bytes of record> <bytes of request>\n<record><request>\n
// What a crash or a full disk left unfinished is cut off, or stepped over, when the file is read again.
// A sync that failed is not believed when it is repeated: Linux tells of lost pages once, and holds them for clean from
// then on (fsync(2), "EIO"). The file is written anew, from memory what was not durable, before anything more is promised.
// Threads: one at a time.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "core/timestamp.hpp"
#include "sys/fd.hpp"

namespace sutfleet {

struct JournalEntry {
    std::string record;   ///< what is true of the job, as its owner writes it
    std::string request;  ///< the submit's payload, in a job's first entry
};

class JobJournal {
  public:
    /// Of each whole entry, in the order of the file.
    using Visit = std::function<void(std::uint64_t offset, JournalEntry entry)>;

    /// Opens or makes the file and shows what is in it.
    static Result<std::unique_ptr<JobJournal>> open(const std::string& path, const Visit& visit);

    enum class Sync { now, later };
    /// When it fails, the file is as it was. @return the entry's offset
    /// @param sync now: durable when it returns, with all before it; later: with the next one, or by `settle`
    Result<std::uint64_t> append(const JournalEntry& entry, Sync sync = Sync::now);
    /// All that was appended is durable when it returns.
    Result<void> settle();
    Result<JournalEntry> read(std::uint64_t offset) const;
    /// Replaces the file, durably, by these entries. @return their offsets; after a failure the old file stays in use
    Result<std::vector<std::uint64_t>> rewrite(const std::vector<JournalEntry>& entries);
    [[nodiscard]] std::uint64_t size() const { return end_; }

  private:
    JobJournal(std::string path, sys::UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<void> replay(const Visit& visit);
    Result<void> replace(const std::string& text);
    Result<void> mend();
    Result<void> sync();

    const std::string path_;
    sys::UniqueFd fd_;
    std::uint64_t end_ = 0;
    std::string unsynced_;  ///< the last bytes of the file
    bool sound_ = true;     ///< no sync of this file has failed
    SteadyTime mend_at_{};  ///< not sooner again
};

/// No entry is longer.
inline constexpr std::size_t k_journal_entry_limit = 512 * 1024;

/// The entry that begins `bytes`. @return invalid_input when it is torn or no entry at all; `size` is set to its bytes
Result<JournalEntry> decode_journal_entry(std::string_view bytes, std::size_t& size);
[[nodiscard]] std::string encode_journal_entry(const JournalEntry& entry);

}  // namespace sutfleet
