#include "output_watch.hpp"

#include "output_feed.hpp"
#include "sys/log.hpp"
#include "sys/thread_name.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_read = 64 * 1024;

Result<LineWatch::Rules> compile(const HealthRules& rules) {
    auto unhealthy = Patterns::compile(rules.unhealthy_on);
    if (!unhealthy) return fail(ErrorKind::invalid_input, "health.unhealthy_on: expected " + unhealthy.error().message);
    auto clear = Patterns::compile(rules.clear_on);
    if (!clear) return fail(ErrorKind::invalid_input, "health.clear_on: expected " + clear.error().message);
    return LineWatch::Rules{rules.unhealthy_on, *std::move(unhealthy), *std::move(clear)};
}

}  // namespace

OutputWatch::~OutputWatch() { thread_.request_stop(); }

void OutputWatch::set_rules(const HealthRules& rules) {
    if (unhealthy_on_ == rules.unhealthy_on && clear_on_ == rules.clear_on) return;
    unhealthy_on_ = rules.unhealthy_on;
    clear_on_ = rules.clear_on;
    auto compiled = compile(rules);
    if (!compiled) sys::log(sys::Level::error, compiled.error().message);
    const std::scoped_lock lock(mutex_);
    trouble_ = compiled ? std::string() : compiled.error().message;
    fresh_rules_ = compiled ? *std::move(compiled) : LineWatch::Rules{};
    if (!thread_.joinable()) {
        if (unhealthy_on_.empty()) return;
        at_ = seen_ = log_->end();
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    changed_.notify_all();
}

void OutputWatch::look() {
    if (!thread_.joinable() || log_->end() == seen_) return;
    seen_ = log_->end();
    const std::scoped_lock lock(mutex_);
    changed_.notify_all();
}

void OutputWatch::command_starts() {
    if (!thread_.joinable()) return;
    const std::scoped_lock lock(mutex_);
    restart_at_ = log_->end();
    why_.clear();
    changed_.notify_all();
}

HealthVerdict OutputWatch::verdict() const {
    const std::scoped_lock lock(mutex_);
    if (!why_.empty()) return {Health::unhealthy, why_};
    if (!trouble_.empty()) return {Health::degraded, trouble_};
    return {};
}

void OutputWatch::run(const std::stop_token& stop) {
    sys::name_thread("output_watch");
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
        const auto due = [this] { return fresh_rules_ || restart_at_ || log_->end() != at_; };
        const bool something = lines_.waits() ? changed_.wait_for(lock, stop, k_partial_line, due) : changed_.wait(lock, stop, due);
        if (stop.stop_requested()) return;
        if (fresh_rules_) lines_.set_rules(*std::exchange(fresh_rules_, std::nullopt));
        if (restart_at_) {
            at_ = *std::exchange(restart_at_, std::nullopt);
            lines_.restart();
        }
        something ? read_on(lock) : lines_.quiet();
        // What was read meanwhile may be of an earlier life, or found by patterns that are gone.
        if (restart_at_ || fresh_rules_ || why_ == lines_.why()) continue;
        why_ = lines_.why();
        sys::log(sys::Level::info, why_.empty() ? "the output matches clear_on" : why_);
        owner_.notify();
    }
}

void OutputWatch::read_on(std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    const auto end = log_->end();
    const auto piece = log_->read(at_, k_read);
    if (piece.offset != at_) {
        sys::log(sys::Level::warn, std::to_string(piece.offset - at_) + " bytes of output came too fast for unhealthy_on");
        lines_.skipped();
    }
    at_ = piece.bytes.empty() ? end : piece.offset + piece.bytes.size();
    lines_.take(piece.bytes);
    lock.lock();
}

}  // namespace sutfleet::agent
