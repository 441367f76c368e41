#include "metrics.hpp"

#include <array>
#include <cstdio>
#include <string_view>

namespace sutfleet {
namespace {

class Text {
  public:
    void head(std::string_view name, std::string_view type, std::string_view help) {
        name_ = "sutfleet_" + std::string(name);
        out_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
    }
    /// Label values are our own words and names of SUTs and queues: nothing in them needs an escape.
    void value(std::size_t number, std::string_view label = {}, std::string_view is = {}) { line("", label, is, std::to_string(number)); }
    void seconds(std::string_view suffix, double number) {
        std::array<char, 32> text{};
        std::snprintf(text.data(), text.size(), "%.6f", number);
        line(suffix, {}, {}, text.data());
    }
    void count(std::string_view suffix, std::uint64_t number) { line(suffix, {}, {}, std::to_string(number)); }
    void one(std::string_view name, std::string_view type, std::string_view help, std::size_t number) {
        head(name, type, help);
        value(number);
    }
    [[nodiscard]] std::string take() { return std::move(out_); }

  private:
    void line(std::string_view suffix, std::string_view label, std::string_view is, const std::string& number) {
        out_ += name_ + std::string(suffix);
        if (!label.empty()) out_ += "{" + std::string(label) + "=\"" + std::string(is) + "\"}";
        out_ += " " + number + "\n";
    }
    std::string name_, out_;
};

constexpr std::array<std::string_view, Fleet::k_statuses> k_statuses{"created",  "running", "paused", "restarting",
                                                                     "removing", "exited",  "dead"};
constexpr std::array<std::string_view, Fleet::k_healths> k_healths{"ok",     "degraded", "unhealthy", "offline",
                                                                   "paused", "down",     "unknown"};

}  // namespace

std::string to_prometheus(const Metrics& metrics) {
    const auto& fleet = metrics.fleet;
    Text text;
    text.one("suts", "gauge", "SUTs that are wanted or have a container.", fleet.agents);
    text.one("suts_parked", "gauge", "SUTs whose conf says enabled: false.", fleet.parked);
    text.one("suts_conf_error", "gauge", "SUTs whose conf has an error.", fleet.broken);
    text.one("suts_quarantined", "gauge", "SUTs that were restarted too often and wait for resume.", fleet.quarantined);
    text.head("agents", "gauge", "Agents by the state of their container.");
    for (std::size_t i = 0; i < k_statuses.size(); ++i) text.value(fleet.by_status.at(i), "state", k_statuses.at(i));
    text.head("agents_health", "gauge", "Agents by the supervisor's verdict.");
    for (std::size_t i = 0; i < k_healths.size(); ++i) text.value(fleet.by_health.at(i), "health", k_healths.at(i));
    text.head("actions_total", "counter", "Actions on the engine that ended, by kind.");
    for (const auto& [verb, count] : metrics.actions) text.value(count.done + count.failed, "action", verb);
    text.head("action_failures_total", "counter", "Those that failed, by kind.");
    for (const auto& [verb, count] : metrics.actions) text.value(count.failed, "action", verb);
    text.one("actions_waiting", "gauge", "SUTs whose action waits for its turn.", metrics.waiting);
    text.one("actions_under_way", "gauge", "Actions under way.", metrics.under_way);
    text.one("agent_restarts_total", "counter", "Agents started again because they had ended or were unhealthy.", metrics.restarts);
    text.head("reconcile_seconds", "summary", "Time of a turn of the supervisor.");
    text.seconds("_sum", metrics.pass_seconds);
    text.count("_count", metrics.passes);
    text.head("jobs", "gauge", "Jobs that the agents have, by state.");
    text.value(fleet.jobs_running, "state", "running");
    text.value(fleet.jobs_queued, "state", "queued");
    text.head("queue_length", "gauge", "Jobs that wait, by SUT.");
    for (const auto& [sut, length] : metrics.queues) text.value(length, "sut", sut);
    text.head("pool_jobs", "gauge", "Jobs of queues that several SUTs may serve, by state; granted ones are a SUT's own by now.");
    std::size_t waiting = 0, granted = 0;
    for (const auto& [queue, count] : metrics.pools.queues) waiting += count.waiting, granted += count.granted;
    text.value(waiting, "state", "waiting");
    text.value(granted, "state", "granted");
    text.head("pool_queue_length", "gauge", "Jobs that wait, by queue.");
    for (const auto& [queue, count] : metrics.pools.queues) text.value(count.waiting, "queue", queue);
    text.head("pool_oldest_wait_seconds", "gauge", "How long the oldest of them has waited.");
    for (const auto& [queue, count] : metrics.pools.queues) text.value(static_cast<std::size_t>(count.oldest_wait.count()), "queue", queue);
    text.head("pool_jobs_ended_total", "counter", "Jobs of queues that ended, by how.");
    for (const auto& [result, count] : metrics.pools.ended) text.value(count, "state", result);
    text.one("broker_connected", "gauge", "Whether the supervisor is connected to the broker.", metrics.broker ? 1 : 0);
    text.one("broker_connects_total", "counter", "Connections made to the broker.", metrics.broker_connects);
    text.one("engine_up", "gauge", "Whether the engine answered the last look at the fleet.", metrics.engine ? 1 : 0);
    return text.take();
}

}  // namespace sutfleet
