#include "session_ender.hpp"

#include "sys/log.hpp"

namespace sutfleet {
namespace {

constexpr std::chrono::seconds k_limit{10};

}  // namespace

SessionEnder::SessionEnder(const sys::Wake& owner)
    : owner_(owner), thread_([this](const std::stop_token& stop) { work(stop); }) {}

void SessionEnder::end(const SutName& sut, mqtt::SessionOptions as_agent) {
    const std::scoped_lock lock(mutex_);
    waiting_.emplace_back(sut, std::move(as_agent));
    added_.notify_one();
}

std::vector<SutName> SessionEnder::take_tried() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(tried_, {});
}

void SessionEnder::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (added_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
        auto [sut, as_agent] = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        if (const auto ended = mqtt::end_session(std::move(as_agent), k_limit); !ended)
            sys::log(sys::Level::warn, "sut=" + sut.str() + " its broker session was not ended: " + ended.error().message);
        lock.lock();
        tried_.push_back(sut);
        owner_.notify();
    }
}

}  // namespace sutfleet
