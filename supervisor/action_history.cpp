#include "action_history.hpp"

namespace sutfleet {

void ActionHistory::add(const SutName& sut, PastAction action) {
    auto& all = actions_[sut];
    if (!all.empty()) {
        const auto& newest = all.front();
        if (newest.what == action.what && newest.why == action.why && newest.result == action.result) {
            action.times = newest.times + 1;
            all.erase(all.begin());
        }
    }
    all.insert(all.begin(), std::move(action));
    if (all.size() > k_kept) all.pop_back();
}

void ActionHistory::remember(const SutName& sut, const std::vector<PastAction>& earlier) {
    if (!remembered_.insert(sut).second || earlier.empty()) return;
    auto& all = actions_[sut];
    // Times of one form compare as text. What is not older than our own first action is our own report.
    const auto oldest = all.empty() ? std::string() : all.back().at;
    for (const auto& action : earlier)
        if (all.size() < k_kept && (oldest.empty() || action.at < oldest)) all.push_back(action);
}

void ActionHistory::forget(const SutName& sut) {
    actions_.erase(sut);
    remembered_.erase(sut);
}

const std::vector<PastAction>& ActionHistory::of(const SutName& sut) const {
    static const std::vector<PastAction> k_none;
    const auto found = actions_.find(sut);
    return found == actions_.end() ? k_none : found->second;
}

}  // namespace sutfleet
