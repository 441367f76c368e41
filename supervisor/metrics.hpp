#pragma once
// What the supervisor tells of the whole fleet in Prometheus's text format. Pure.
// Source: Prometheus, "Exposition formats", text format 0.0.4.

#include <cstdint>
#include <map>
#include <string>

#include "fleet.hpp"
#include "pool/pool_book.hpp"

namespace sutfleet {

struct Metrics {
    Fleet::Totals fleet;
    struct Count {
        std::uint64_t done = 0, failed = 0;
    };
    std::map<std::string, Count> actions;  ///< that have ended, by verb
    std::uint64_t restarts = 0;            ///< of agents: by health or because they had ended
    std::size_t waiting = 0, under_way = 0;
    std::uint64_t passes = 0;
    double pass_seconds = 0;
    std::map<std::string, std::size_t> queues;  ///< jobs that wait, by SUT
    PoolBook::Counts pools;
    bool broker = false, engine = false;
    std::uint64_t broker_connects = 0;
};

[[nodiscard]] std::string to_prometheus(const Metrics& metrics);

}  // namespace sutfleet
