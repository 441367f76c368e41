#include "folder_ledger.hpp"

namespace sutfleet::agent {

void FolderLedger::put(const JobFolder& folder) {
    erase(folder.id);
    folders_.emplace(folder.id, folder);
    by_age_.emplace(folder.ended, folder.id);
    bytes_ += folder.bytes;
}

void FolderLedger::erase(const JobId& id) {
    const auto found = folders_.find(id);
    if (found == folders_.end()) return;
    by_age_.erase({found->second.ended, id});
    bytes_ -= found->second.bytes;
    folders_.erase(found);
}

std::vector<JobFolder> FolderLedger::due(const JobRules& rules, WallTime now) const {
    std::vector<JobFolder> out;
    auto bytes = bytes_;
    for (const auto& [ended, id] : by_age_) {
        const bool old = folders_.size() - out.size() > k_folders_kept && now - ended > rules.keep;
        if (!old && std::cmp_less_equal(bytes, rules.max_bytes)) break;
        out.push_back(folders_.at(id));
        bytes -= out.back().bytes;
    }
    return out;
}

}  // namespace sutfleet::agent
