#include "metrics.hpp"

#include <doctest/doctest.h>

#include "metrics_server.hpp"

using namespace sutfleet;

TEST_CASE("metrics: each has its help and type, and its values by kind") {
    Metrics metrics;
    metrics.fleet.agents = 3;
    metrics.fleet.by_status.at(static_cast<std::size_t>(ContainerStatus::running)) = 2;
    metrics.fleet.by_health.at(static_cast<std::size_t>(Fleet::Health::degraded)) = 1;
    metrics.actions["create"] = {4, 1};
    metrics.queues["alpha"] = 7;
    metrics.pools.queues["lab"] = {3, 2, std::chrono::seconds{90}};
    metrics.pools.queues["bench"] = {1, 0, std::chrono::seconds{0}};
    metrics.pools.ended["LOST"] = 4;
    metrics.fleet.jobs_running = 5;
    metrics.passes = 2;
    metrics.pass_seconds = 0.0015;
    metrics.broker = true;
    const auto text = "\n" + to_prometheus(metrics);
    for (const auto* line : {"# HELP sutfleet_suts SUTs that are wanted or have a container.", "# TYPE sutfleet_suts gauge", "sutfleet_suts 3",
                             "sutfleet_agents{state=\"running\"} 2", "sutfleet_agents_health{health=\"degraded\"} 1",
                             "sutfleet_actions_total{action=\"create\"} 5", "sutfleet_action_failures_total{action=\"create\"} 1",
                             "sutfleet_reconcile_seconds_sum 0.001500", "sutfleet_reconcile_seconds_count 2",
                             "sutfleet_agent_restarts_total 0", "sutfleet_jobs{state=\"running\"} 5", "sutfleet_jobs{state=\"queued\"} 0",
                             "sutfleet_pool_jobs{state=\"waiting\"} 4", "sutfleet_pool_jobs{state=\"granted\"} 2",
                             "sutfleet_pool_queue_length{queue=\"bench\"} 1", "sutfleet_pool_queue_length{queue=\"lab\"} 3",
                             "sutfleet_pool_oldest_wait_seconds{queue=\"lab\"} 90", "sutfleet_pool_jobs_ended_total{state=\"LOST\"} 4",
                             "sutfleet_queue_length{sut=\"alpha\"} 7", "sutfleet_broker_connected 1", "sutfleet_engine_up 0"}) {
        CAPTURE(line);
        CHECK(text.find("\n" + std::string(line) + "\n") != std::string::npos);
    }
}

TEST_CASE("metrics: only GET /metrics is answered with them") {
    const auto ask = [](const char* request) { return metrics_answer(request, [] { return std::string("x 1\n"); }); };
    CHECK(ask("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(ask("GET /metrics HTTP/1.1\r\n\r\n").ends_with("Content-Length: 4\r\nConnection: close\r\n\r\nx 1\n"));
    CHECK(ask("GET /metrics?x=1 HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
    CHECK(ask("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
    CHECK(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    CHECK(ask("\r\n\r\n").starts_with("HTTP/1.1 405"));
}

TEST_CASE("metrics: an address that is none is refused with what was expected") {
    for (const auto* bad : {"", "http://x", "unix://", "tcp://", "tcp://localhost:1", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:1x",
                            "tcp://127.0.0.1:70000"}) {
        CAPTURE(bad);
        const auto server = MetricsServer::open(bad, [] { return std::string(); });
        REQUIRE_FALSE(server);
        CHECK(server.error().message.find("expected") != std::string::npos);
    }
}
