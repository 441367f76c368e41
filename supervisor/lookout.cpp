#include "lookout.hpp"

#include <algorithm>

#include "container_spec.hpp"
#include "sys/log.hpp"

namespace sutfleet {

Lookout::Lookout(const Settings& settings, Engine& engine, const sys::Wake& owner)
    : settings_(settings), engine_(engine), owner_(owner) {
    for (std::size_t i = 0; i < k_lookers; ++i)
        threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

Lookout::~Lookout() {
    for (auto& thread : threads_) thread.request_stop();
}

std::uint64_t Lookout::look_at_all() {
    const std::scoped_lock lock(mutex_);
    all_ = ++last_;
    added_.notify_one();
    return last_;
}

std::uint64_t Lookout::look_at(const SutName& sut, const std::string& id, bool retry) {
    const std::scoped_lock lock(mutex_);
    const auto [at, fresh] = wanted_.try_emplace(sut);
    if (fresh) (retry ? retries_ : fresh_).push_back(sut);
    at->second = {++last_, id, fresh ? retry : at->second.retry};
    added_.notify_one();
    return last_;
}

std::vector<Look> Lookout::take() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(looks_, {});
}

std::vector<std::pair<std::string, std::string>> Lookout::take_supervisors() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(supervisors_, {});
}

std::optional<Lookout::Task> Lookout::next() {
    if (all_ && !all_runs_) {
        all_runs_ = true;
        return Task{std::nullopt, Request{*std::exchange(all_, std::nullopt), {}}};
    }
    if (auto task = next_of(fresh_)) return task;
    if (std::ranges::count_if(running_, [](const auto& one) { return one.second; }) >= k_retry_lookers) return std::nullopt;
    return next_of(retries_);
}

std::optional<Lookout::Task> Lookout::next_of(std::deque<SutName>& order) {
    const auto at = std::ranges::find_if(order, [&](const SutName& sut) { return !running_.contains(sut); });
    if (at == order.end()) return std::nullopt;
    Task task{*at, std::move(wanted_.extract(*at).mapped())};
    order.erase(at);
    running_.emplace(*task.first, task.second.retry);
    return task;
}

void Lookout::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    std::optional<Task> task;
    while (added_.wait(lock, stop, [&] { return (task = next()).has_value(); })) {
        lock.unlock();
        auto look = perform(task->first, task->second);
        lock.lock();
        if (task->first)
            running_.erase(*task->first);
        else
            all_runs_ = false;
        added_.notify_one();  // what waited for this one's end
        looks_.push_back(std::move(look));
        owner_.notify();
    }
}

Look Lookout::perform(const std::optional<SutName>& sut, const Request& request) {
    if (sut) return {request.number, sut, look_closely(*sut, request.id)};
    if (auto around = look_around(); !around) return {request.number, std::nullopt, fail(around.error())};
    return {request.number, std::nullopt, engine_.agents(settings_.stack)};
}

/// By the id that is known, then by the name: it may have been made anew.
Result<std::vector<FoundContainer>> Lookout::look_closely(const SutName& sut, const std::string& id) {
    for (const auto& key : {id, container_name(settings_, sut)}) {
        if (key.empty()) continue;
        auto found = engine_.inspect(key);
        if (!found && found.error().kind != ErrorKind::not_found) return fail(found.error());
        // A container of that name that is not ours is as good as none.
        if (found && found->stack == settings_.stack && found->sut == sut.str()) return std::vector{*std::move(found)};
    }
    return std::vector<FoundContainer>{};
}

Result<void> refuse_a_second(const std::vector<std::pair<std::string, std::string>>& running, const Settings& settings) {
    for (const auto& [id, name] : running)
        if (!id.starts_with(host_name()))
            return fail(ErrorKind::conflict, "container " + name + " supervises the stack '" + settings.stack + "' already");
    return {};
}

/// Who else supervises this stack; and an earlier life of ours may have left helpers.
Result<void> Lookout::look_around() {
    {
        const std::scoped_lock lock(mutex_);
        if (looked_around_) return {};
    }
    auto others = engine_.with_role(settings_.stack, "supervisor");
    if (!others) return fail(others.error());
    const auto helpers = engine_.with_role(settings_.stack, "helper");
    if (!helpers) return fail(helpers.error());
    for (const auto& [id, name] : *helpers)
        if (auto removed = engine_.remove(id); !removed) sys::log(sys::Level::warn, removed.error().message);
    if (const auto info = engine_.ping()) cpus_ = info->cpus;
    const std::scoped_lock lock(mutex_);
    looked_around_ = true;
    supervisors_ = *std::move(others);
    return {};
}

}  // namespace sutfleet
