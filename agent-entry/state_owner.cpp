#include "state_owner.hpp"

#include <fts.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>

namespace sutfleet::agent {

std::optional<StateOwner> parse_state_owner(std::string_view text) {
    StateOwner owner;
    const char* end = text.data() + text.size();
    const auto uid = std::from_chars(text.data(), end, owner.uid);
    if (uid.ec != std::errc{} || uid.ptr == end || *uid.ptr != ':') return std::nullopt;
    const auto gid = std::from_chars(uid.ptr + 1, end, owner.gid);
    return gid.ec == std::errc{} && gid.ptr == end ? std::optional(owner) : std::nullopt;
}

Result<void> give_state(const std::string& folder, StateOwner to) {
    Result<void> outcome;
    const auto failed = [&](const std::string& path, int error) {
        if (outcome) outcome = fail(errno_error(path, error));
    };
    std::string top = folder;
    char* const paths[] = {top.data(), nullptr};
    const std::unique_ptr<FTS, int (*)(FTS*)> walk(::fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, nullptr), ::fts_close);
    if (!walk) return fail(errno_error(folder, errno));
    while (const FTSENT* entry = ::fts_read(walk.get())) {
        if (entry->fts_info == FTS_DP) continue;  // a folder, for the second time
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            failed(entry->fts_path, entry->fts_errno);
            continue;
        }
        const auto& now = *entry->fts_statp;
        if (now.st_uid == to.uid && now.st_gid == to.gid) continue;
        if (::lchown(entry->fts_accpath, to.uid, to.gid) != 0) failed(entry->fts_path, errno);
    }
    return outcome;
}

}  // namespace sutfleet::agent
