// Jobs of queues that were granted to SUTs that are gone now: what their journals say decides.

#include "supervisor.hpp"

namespace sutfleet {
namespace {

constexpr std::chrono::seconds k_look_for_gone{1};
constexpr std::chrono::seconds k_ask_gone_again{10};

}  // namespace

/// No container, and none is wanted.
bool Supervisor::is_gone(const SutName& sut) const {
    const auto file = confs_.files().find(sut);
    if (file != confs_.files().end()) return false;
    return fleet_.found(sut) == nullptr && !fleet_.history(sut).busy && !under_way_.contains(sut);
}

void Supervisor::settle_gone(SteadyTime now) {
    for (const auto& [question, word] : journals_->take()) {
        asked_gone_[question.id] = now + k_ask_gone_again;
        pools_->settle_gone(question.sut, question.id, question.number, word);
    }
    if (now < look_for_gone_at_ || !found_known_ || !confs_.known()) return;
    look_for_gone_at_ = now + k_look_for_gone;
    std::map<JobId, std::optional<SteadyTime>> still;
    for (const auto& [sut, id, number] : pools_->granted()) {
        if (!is_gone(sut)) continue;
        const auto asked = asked_gone_.find(id);
        const bool waits = asked != asked_gone_.end() && (!asked->second || now < *asked->second);
        if (!waits) journals_->ask({sut, id, number});
        still[id] = waits ? asked->second : std::nullopt;
    }
    asked_gone_ = std::move(still);
}

}  // namespace sutfleet
