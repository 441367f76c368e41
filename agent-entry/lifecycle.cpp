#include "lifecycle.hpp"

#include <algorithm>

namespace sutfleet::agent {

Lifecycle::Lifecycle(bool has_command, RestartPolicy policy, SteadyTime now, LifeSubject subject)
    : subject_(std::move(subject)), policy_(policy), state_(has_command ? State::waiting : State::absent), due_(now) {}

std::optional<SteadyTime> Lifecycle::due() const {
    if (state_ != State::waiting) return std::nullopt;
    return due_;
}

bool Lifecycle::start_due(SteadyTime now) const { return state_ == State::waiting && now >= due_; }

void Lifecycle::started(SteadyTime now) {
    state_ = State::running;
    started_ = now;
}

bool Lifecycle::again(int code) const {
    return policy_ == RestartPolicy::always || (policy_ == RestartPolicy::on_failure && code != 0);
}

void Lifecycle::exited(int code, SteadyTime now) {
    if (state_ == State::stopped || state_ == State::absent) return;
    last_code_ = code;
    if (now - started_ >= k_healthy_life) failures_in_a_row_ = 0;
    if (code != 0 || subject_.any_end_fails) {
        failures_.push_back(now);
        forget_old_failures(now);
    }
    if (!again(code)) {
        state_ = State::ended;
        return;
    }
    state_ = State::waiting;
    due_ = now + backoff(k_restart_backoff, ++failures_in_a_row_);
}

void Lifecycle::restart(SteadyTime now) {
    if (state_ == State::absent || state_ == State::running) return;
    state_ = State::waiting;
    due_ = now;
    failures_in_a_row_ = 0;
    failures_.clear();
}

void Lifecycle::forget_old_failures(SteadyTime now) {
    while (!failures_.empty() && now - failures_.front() > k_crash_window) failures_.pop_front();
}

HealthVerdict Lifecycle::verdict(SteadyTime now) const {
    const auto recent = std::ranges::count_if(failures_, [&](SteadyTime t) { return now - t <= k_crash_window; });
    const auto code = std::to_string(last_code_);
    if (static_cast<std::size_t>(recent) >= k_crash_count)
        return {Health::unhealthy, subject_.name + " in a crash loop: ended " + std::to_string(recent) +
                                       " times in 10 min, last with " + code};
    if (state_ == State::ended)
        return {last_code_ == 0 ? Health::ok : Health::degraded, subject_.name + " ended (" + code + ")"};
    if (state_ == State::waiting && (last_code_ != 0 || (subject_.any_end_fails && !failures_.empty())))
        return {Health::degraded, subject_.name + " ended (" + code + "), will be started again"};
    return {};
}

}  // namespace sutfleet::agent
