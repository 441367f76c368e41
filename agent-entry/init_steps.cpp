#include "init_steps.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace sutfleet::agent {

std::string init_mark(std::string_view build, const InitStep& step) {
    std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a; each part with its end, so that no two run together
    for (const auto& part : step.run.argv)
        for (std::size_t i = 0; i <= part.size(); ++i) hash = (hash ^ static_cast<unsigned char>(part.c_str()[i])) * 1099511628211ULL;
    std::array<char, 17> text{};
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(hash));
    return std::string(build) + " " + text.data() + "\n";
}

bool InitSteps::set(const std::vector<Known>& steps) {
    const auto* runs = running_ ? next() : nullptr;
    std::vector<Entry> fresh;
    bool still_there = false;
    for (const auto& known : steps) {
        const auto old = std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.step == known.step; });
        fresh.push_back(old != entries_.end() ? *old : Entry{known.step, known.done});
        still_there = still_there || (runs != nullptr && old != entries_.end() && &*old == runs);
    }
    // What runs must stay the first that is not done: a new step before it comes after it, this once.
    if (still_there) {
        const auto at = std::ranges::find_if(fresh, [&](const Entry& entry) { return entry.step == runs->step; });
        const auto first = std::ranges::find_if(fresh, [](const Entry& entry) { return !entry.done; });
        std::rotate(first, at, at + 1);
    }
    const bool lost = running_ && !still_there;
    if (lost) running_ = false;
    entries_ = std::move(fresh);
    return lost;
}

const InitSteps::Entry* InitSteps::next() const {
    const auto at = std::ranges::find_if(entries_, [](const Entry& entry) { return !entry.done; });
    return at == entries_.end() ? nullptr : &*at;
}

std::optional<SteadyTime> InitSteps::due() const {
    const auto* entry = next();
    if (entry == nullptr || running_) return std::nullopt;
    return entry->due;
}

std::optional<InitStep> InitSteps::start_due(SteadyTime now) const {
    const auto at = due();
    return at && now >= *at ? std::optional(next()->step) : std::nullopt;
}

void InitSteps::started() { running_ = true; }

std::optional<InitStep> InitSteps::ended(int code, SteadyTime now) {
    auto* entry = next();
    if (!running_ || entry == nullptr) return std::nullopt;
    running_ = false;
    if (code != 0) {
        entry->code = code;
        entry->due = now + backoff(k_init_backoff, ++entry->failures);
        return std::nullopt;
    }
    *entry = Entry{entry->step, true};
    return entry->step;
}

Result<std::vector<std::string>> InitSteps::again(std::string_view name) {
    std::vector<std::string> names;
    std::string all;
    for (auto& entry : entries_) {
        all += (all.empty() ? "" : ", ") + entry.step.name;
        if (name.empty() || entry.step.name == name) names.push_back(entry.step.name);
    }
    if (names.empty())
        return fail(ErrorKind::not_found, entries_.empty() ? "this SUT has no init steps"
                                                           : "no init step '" + std::string(name.substr(0, 63)) + "': expected one of " + all);
    // One before the running one would come between it and its end.
    if (running_) return fail(ErrorKind::conflict, "init " + next()->step.name + " is running: wait for its end");
    for (auto& entry : entries_)
        if (name.empty() || entry.step.name == name) entry = Entry{entry.step};
    return names;
}

HealthVerdict InitSteps::verdict() const {
    const auto* entry = next();
    if (entry == nullptr) return {};
    const auto what = "init " + entry->step.name;
    if (entry->failures == 0) return {Health::degraded, what + (running_ ? " is running" : " is still to be done")};
    const auto times = entry->failures == 1 ? std::string() : ", " + std::to_string(entry->failures) + " times";
    return {Health::unhealthy, what + " failed (" + std::to_string(entry->code) + ")" + times +
                                   ": see agent.log; tried again by itself, at once by sutctl reinit"};
}

}  // namespace sutfleet::agent
