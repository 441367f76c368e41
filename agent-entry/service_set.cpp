#include "service_set.hpp"

#include <algorithm>

namespace sutfleet::agent {

ServiceSet::Entry ServiceSet::fresh(const Service& service, SteadyTime now) {
    return {service, Lifecycle(true, RestartPolicy::always, now, {"service " + service.name, true})};
}

std::vector<std::string> ServiceSet::set(const std::vector<Service>& services, bool all_anew, SteadyTime now) {
    std::vector<std::string> to_stop;
    for (auto at = entries_.begin(); at != entries_.end();) {
        auto& [name, entry] = *at;
        const auto wanted = std::ranges::find(services, name, &Service::name);
        const bool stays = wanted != services.end() && *wanted == entry.service && !entry.leaving && !all_anew;
        if (!stays && !entry.running) {
            at = entries_.erase(at);
            continue;
        }
        if (!stays) {
            if (!entry.leaving) to_stop.push_back(name);
            entry.leaving = true;
            entry.next = wanted == services.end() ? std::nullopt : std::optional(*wanted);
        }
        ++at;
    }
    for (const auto& service : services) entries_.try_emplace(service.name, fresh(service, now));
    return to_stop;
}

std::vector<std::string> ServiceSet::stop() {
    std::vector<std::string> running;
    stopped_ = true;
    for (auto& [name, entry] : entries_) {
        entry.life.stop();
        entry.next.reset();
        if (entry.running) running.push_back(name);
    }
    return running;
}

std::vector<Service> ServiceSet::start_due(SteadyTime now) const {
    std::vector<Service> out;
    for (const auto& [name, entry] : entries_)
        if (!stopped_ && !entry.running && entry.life.start_due(now)) out.push_back(entry.service);
    return out;
}

std::optional<SteadyTime> ServiceSet::due() const {
    std::optional<SteadyTime> out;
    for (const auto& [name, entry] : entries_)
        if (const auto at = entry.life.due(); at && !entry.running && (!out || *at < *out)) out = at;
    return out;
}

void ServiceSet::started(const std::string& name, SteadyTime now) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    found->second.running = true;
    found->second.life.started(now);
}

void ServiceSet::ended(const std::string& name, int code, SteadyTime now) {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    auto& entry = found->second;
    entry.running = false;
    if (!entry.leaving) return entry.life.exited(code, now);
    if (entry.next && !stopped_)
        entry = fresh(Service(*entry.next), now);
    else
        entries_.erase(found);
}

void ServiceSet::hurry(SteadyTime now) {
    for (auto& [name, entry] : entries_)
        if (!entry.running && !stopped_) entry.life.restart(now);
}

HealthVerdict ServiceSet::verdict(SteadyTime now) const {
    HealthVerdict out;
    for (const auto& [name, entry] : entries_) {
        const auto one = entry.leaving ? HealthVerdict{} : entry.life.verdict(now);
        if (one.health == Health::ok) continue;
        out.health = Health::degraded;
        out.why += (out.why.empty() ? "" : "; ") + one.why;
    }
    return out;
}

}  // namespace sutfleet::agent
