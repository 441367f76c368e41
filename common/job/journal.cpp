#include "job/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "job/content_digest.hpp"
#include "job/submit_request.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using sys::UniqueFd;

constexpr std::size_t k_record_limit = 64 * 1024;
constexpr std::size_t k_header_limit = 64;
constexpr std::size_t k_digest_bytes = 16;
constexpr std::size_t k_small_entry = 4096;
constexpr auto k_mend_again = std::chrono::seconds{1};
constexpr std::size_t k_entry_limit = k_header_limit + k_record_limit + k_submit_limit + 1;
static_assert(k_entry_limit <= k_journal_entry_limit);

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// Takes digits off the front of `text`, as we write them, and the character that ends them.
bool take_number(std::string_view& text, std::size_t& into, char end) {
    if (text.starts_with('0') && !text.starts_with(std::string{'0', end})) return false;
    const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (error != std::errc{} || at == text.data() + text.size() || *at != end) return false;
    text.remove_prefix(static_cast<std::size_t>(at - text.data()) + 1);
    return true;
}

Result<std::string> read_range(int fd, std::uint64_t offset, std::size_t size) {
    std::string out(size, '\0');
    std::size_t used = 0;
    while (used < size) {
        const auto got = ::pread(fd, out.data() + used, size - used, static_cast<off_t>(offset + used));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("the journal", errno));
        if (got == 0) break;
        used += static_cast<std::size_t>(got);
    }
    out.resize(used);
    return out;
}

}  // namespace

std::string encode_journal_entry(const JournalEntry& entry) {
    std::string body = std::to_string(entry.record.size()) + " " + std::to_string(entry.request.size()) + "\n" +
                       entry.record + entry.request;
    return content_digest(body) + " " + body + "\n";
}

Result<JournalEntry> decode_journal_entry(std::string_view bytes, std::size_t& size) {
    const auto torn = fail(ErrorKind::invalid_input, "no whole journal entry");
    if (bytes.size() < k_digest_bytes + 1 || bytes[k_digest_bytes] != ' ') return torn;
    const auto digest = bytes.substr(0, k_digest_bytes);
    const auto body = bytes.substr(k_digest_bytes + 1);
    auto rest = body.substr(0, k_header_limit);
    std::size_t record = 0, request = 0;
    if (!take_number(rest, record, ' ') || !take_number(rest, request, '\n')) return torn;
    if (record > k_record_limit || request > k_submit_limit) return torn;
    const auto header = body.substr(0, k_header_limit).size() - rest.size();
    const auto whole = header + record + request;
    if (body.size() <= whole || body[whole] != '\n' || content_digest(body.substr(0, whole)) != digest) return torn;
    size = k_digest_bytes + 1 + whole + 1;
    return JournalEntry{std::string(body.substr(header, record)), std::string(body.substr(header + record, request))};
}

Result<std::unique_ptr<JobJournal>> JobJournal::open(const std::string& path, const Visit& visit) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(errno_error(path, errno));
    // Its name must be there after a crash, too.
    if (auto synced = sys::sync_folder(folder_of(path)); !synced) return fail(synced.error());
    std::unique_ptr<JobJournal> journal(new JobJournal(path, std::move(fd)));
    if (auto replayed = journal->replay(visit); !replayed) return fail(replayed.error());
    // An earlier life may have ended before its sync.
    if (auto synced = journal->sync(); !synced) sys::log(sys::Level::error, synced.error().message);
    return journal;
}

Result<void> JobJournal::replay(const Visit& visit) {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return fail(errno_error(path_, errno));
    const auto file_end = static_cast<std::uint64_t>(info.st_size);
    std::string window;
    std::uint64_t at = 0;  // of the window's begin
    std::size_t used = 0;  // of the window
    const auto refill = [&]() -> Result<void> {
        window.erase(0, used);
        at += used;
        used = 0;
        auto more = read_range(fd_.get(), at + window.size(), 4 * k_entry_limit);
        if (!more) return fail(more.error());
        window += *more;
        return {};
    };
    std::size_t broken = 0, stepped_over = 0;
    while (at + used < file_end) {
        if (window.size() - used < k_entry_limit && at + window.size() < file_end)
            if (auto filled = refill(); !filled) return filled;
        std::size_t size = 0;
        auto entry = decode_journal_entry(std::string_view(window).substr(used), size);
        if (entry) {
            visit(at + used, *std::move(entry));
            used += size;
            end_ = at + used;
            stepped_over = broken;
            continue;
        }
        broken += 1;
        const auto line_end = window.find('\n', used);
        used = line_end == std::string::npos ? window.size() : line_end + 1;
    }
    if (stepped_over > 0)
        sys::log(sys::Level::error, path_ + ": " + std::to_string(stepped_over) + " lines of it are damaged and were stepped over");
    if (end_ == file_end) return {};
    sys::log(sys::Level::warn, path_ + ": its last " + std::to_string(file_end - end_) + " bytes are not whole: cut off");
    if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0) return fail(errno_error(path_, errno));
    return {};
}

Result<std::uint64_t> JobJournal::append(const JournalEntry& entry, Sync sync) {
    // What could not be read again would be lost at the next start, with a promise given for it.
    if (entry.record.size() > k_record_limit || entry.request.size() > k_submit_limit)
        return fail(ErrorKind::invalid_input, "expected at most " + std::to_string(k_record_limit) + " bytes of a record and " +
                                                  std::to_string(k_submit_limit) + " of a job");
    if (auto mended = mend(); !mended) return fail(mended.error());
    const auto bytes = encode_journal_entry(entry);
    const auto offset = end_;
    const auto give_up = [&](Error why) {
        end_ = offset;
        // The next entry overwrites what is there of this one; cut it off in case that there is no next one.
        [[maybe_unused]] const int cut = ::ftruncate(fd_.get(), static_cast<off_t>(offset));
        return fail(std::move(why));
    };
    std::size_t used = 0;
    sys::crash_point("journal: entry not written");
    while (used < bytes.size()) {
        const auto put = ::pwrite(fd_.get(), bytes.data() + used, bytes.size() - used, static_cast<off_t>(offset + used));
        if (put < 0 && errno != EINTR) return give_up(errno_error(path_, errno));
        used += static_cast<std::size_t>(std::max<ssize_t>(put, 0));
    }
    sys::crash_point("journal: entry written");
    end_ += bytes.size();
    unsynced_ += bytes;
    if (sync == Sync::now)
        if (auto settled = settle(); !settled) {
            unsynced_.resize(unsynced_.size() - std::min(unsynced_.size(), bytes.size()));
            return give_up(settled.error());
        }
    sys::crash_point("journal: entry synced");
    return offset;
}

Result<void> JobJournal::sync() {
    sound_ = ::fdatasync(fd_.get()) == 0;
    if (!sound_) return fail(errno_error(path_, errno));
    unsynced_.clear();
    return {};
}

Result<void> JobJournal::settle() {
    if (sound_ && (unsynced_.empty() || sync())) return {};
    return mend();
}

/// Writes the file anew after a sync of it has failed.
Result<void> JobJournal::mend() {
    if (sound_) return {};
    const auto now = sys::steady_now();
    if (now < mend_at_) return fail(ErrorKind::transient, path_ + ": a sync of it has failed");
    mend_at_ = now + k_mend_again;
    auto text = read_range(fd_.get(), 0, end_ - unsynced_.size());
    if (!text) return fail(text.error());
    if (text->size() != end_ - unsynced_.size()) return fail(ErrorKind::permanent, path_ + ": shorter than it was written");
    if (auto replaced = replace(*text + unsynced_); !replaced) return replaced;
    if (!sound_) return fail(ErrorKind::transient, path_ + ": its folder cannot be synced");
    mend_at_ = {};
    sys::log(sys::Level::warn, path_ + ": written anew, since a sync of it had failed");
    return {};
}

Result<JournalEntry> JobJournal::read(std::uint64_t offset) const {
    // Most entries are small; a large one is read again whole.
    for (const auto limit : {k_small_entry, k_entry_limit}) {
        auto bytes = read_range(fd_.get(), offset, limit);
        if (!bytes) return fail(bytes.error());
        std::size_t size = 0;
        if (auto entry = decode_journal_entry(*bytes, size)) return entry;
    }
    return fail(ErrorKind::permanent, path_ + ": damaged at byte " + std::to_string(offset));
}

Result<std::vector<std::uint64_t>> JobJournal::rewrite(const std::vector<JournalEntry>& entries) {
    std::vector<std::uint64_t> offsets;
    std::string text;
    for (const auto& entry : entries) {
        offsets.push_back(text.size());
        text += encode_journal_entry(entry);
    }
    if (auto replaced = replace(text); !replaced) return fail(replaced.error());
    return offsets;
}

Result<void> JobJournal::replace(const std::string& text) {
    const auto draft = path_ + ".compact";
    if (auto written = sys::write_file_atomic(draft, text, 0600, sys::Durability::durable); !written)
        return fail(written.error());
    sys::crash_point("compaction: draft written");
    UniqueFd fd(::open(draft.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd || ::rename(draft.c_str(), path_.c_str()) != 0) return fail(errno_error(path_, errno));
    sys::crash_point("compaction: renamed");
    fd_ = std::move(fd);
    end_ = text.size();
    unsynced_.clear();
    sound_ = true;
    // The new file is in use, whatever comes of this: offsets into the old one would mean other entries.
    if (auto synced = sys::sync_folder(folder_of(path_)); !synced) {
        sound_ = false;
        sys::log(sys::Level::error, "a power failure may bring the old journal back: " + synced.error().message);
    }
    sys::crash_point("compaction: synced");
    return {};
}

}  // namespace sutfleet
