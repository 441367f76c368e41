#include "pool/pool_plan.hpp"

#include <algorithm>
#include <optional>

namespace sutfleet {

std::vector<PoolOffer> plan_offers(const std::vector<PoolJob>& open_jobs, const std::map<SutName, PoolSut>& suts) {
    std::set<std::string> taken;
    for (const auto& job : open_jobs)
        if (job.state != PoolJob::State::waiting) taken.insert(job.sut);
    std::map<std::string, std::set<std::pair<std::uint64_t, SutName>>> idle;  // by queue, the longest unused first
    for (const auto& [sut, one] : suts)
        if (one.why.empty() && !taken.contains(sut.str()))
            for (const auto& queue : one.queues) idle[queue].emplace(one.last_used, sut);
    std::vector<PoolOffer> out;
    for (const auto& job : open_jobs) {
        const auto free = idle.find(job.queue);
        if (job.state != PoolJob::State::waiting || free == idle.end() || free->second.empty()) continue;
        const auto first = std::ranges::find_if(free->second, [&](const auto& one) { return !suts.at(one.second).forbidden.contains(job.id); });
        if (first == free->second.end()) continue;
        const auto [used, sut] = *first;
        for (const auto& queue : suts.at(sut).queues) idle[queue].erase({used, sut});
        out.push_back({job.id, sut});
    }
    return out;
}

}  // namespace sutfleet
