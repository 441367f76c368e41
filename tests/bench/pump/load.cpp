// A steady load, a broker that goes away, a trickle.

#include "line.hpp"
#include "parts.hpp"

namespace sutfleet::bench {
namespace {

struct Steady {
    double cpu = 0, broker = 0;  ///< of a core
    std::uint64_t lost = 0, doubled = 0;
};

Steady steady(Kind kind, const Programs& programs, double seconds) {
    Contender contender(kind, programs, {static_cast<std::uint64_t>(5000 * seconds), 100, "5000"});
    contender.go();
    const auto out = contender.finish();
    return {out.cpu / seconds, out.broker_cpu / seconds, out.lost, out.doubled};
}

/// A stamped line from us through the same broker, when the agent is not at it.
void bare_round_trips(int port, LineReader& reader, std::uint64_t count) {
    LinePublisher publisher(port);
    std::string line = std::string(k_number, '0') + std::string(90, '.');
    for (std::uint64_t i = 1; i <= count; ++i) {
        ::poll(nullptr, 0, 30 + static_cast<int>(i % 20));
        put_line(line.data(), line.size(), i, monotonic_ns());
        publisher.publish("bench/bare", line);
    }
    if (!test::eventually([&] { return reader.latencies().size() >= count; })) give_up("a message that we published is lost");
}

}  // namespace

void steady_load(const Programs& programs, const Plan& plan) {
    Samples ours, broker, theirs, their_broker;
    std::uint64_t wrong = 0;
    for (int round = 0; round < std::min(plan.rounds, 2); ++round) {
        const auto agent = steady(Kind::agent, programs, plan.steady_s), python = steady(Kind::python, programs, plan.steady_s);
        ours.push_back(agent.cpu), broker.push_back(agent.broker);
        theirs.push_back(python.cpu), their_broker.push_back(python.broker);
        wrong += agent.lost + agent.doubled;
    }
    std::printf("\n5,000 lines/s of 100 bytes, %% of a core: agent-entry %.2f, its broker %.2f; python %.2f, its broker %.2f; lost or doubled %llu\n",
                median(ours) * 100, median(broker) * 100, median(theirs) * 100, median(their_broker) * 100, static_cast<unsigned long long>(wrong));
    const auto cpu = median(theirs) / median(ours), cost = median(their_broker) / median(broker);
    verdict("CPU: python's, in ours", cpu, ">= 12", cpu >= 12);
    verdict("CPU of the broker: python's, in ours", cost, ">= 20", cost >= 20);
}

void outage(const Programs& programs, const Plan&) {
    Contender contender(Kind::agent, programs, {18'000, 100, "3000"});
    contender.go();
    ::poll(nullptr, 0, 2000);
    contender.broker().stop();
    ::poll(nullptr, 0, 2000);
    contender.broker().start();
    const auto out = contender.finish();
    std::printf("\na broker that is away for 2 s, at 3,000 lines/s: lost %llu, doubled %llu (%llu bytes came twice, with the same offset)\n",
                static_cast<unsigned long long>(out.lost), static_cast<unsigned long long>(out.doubled),
                static_cast<unsigned long long>(contender.reader().repeated_bytes()));
    verdict("lines lost or doubled", static_cast<double>(out.lost + out.doubled), "0", out.lost + out.doubled == 0);
}

void trickle(const Programs& programs, const Plan& plan) {
    Contender contender(Kind::agent, programs, {plan.trickle, 100, "trickle"});
    LineReader bare(contender.broker().port(), "bench/bare");
    contender.go();
    bare_round_trips(contender.broker().port(), bare, plan.trickle);
    const auto out = contender.finish();
    auto ours = contender.reader().latencies(), floor = bare.latencies();
    std::printf("\ntrickle, line written to line received, ms: agent-entry p50 %.2f, p99 %.2f; bare round trip p50 %.2f, p99 %.2f (%zu, lost %llu)\n",
                at(ours, 0.5), at(ours, 0.99), at(floor, 0.5), at(floor, 0.99), ours.size(), static_cast<unsigned long long>(out.lost));
    const auto more = at(ours, 0.99) - at(floor, 0.99);
    verdict("p99 behind the bare round trip's, ms", more, "<= 10", more <= 10);
    std::printf("  samples between 38 and 50 ms, of the bare round trip %30ld\n", delayed_acks(floor));
    verdict("samples between 38 and 50 ms", static_cast<double>(delayed_acks(ours)), "0", delayed_acks(ours) == 0);
}

}  // namespace sutfleet::bench
