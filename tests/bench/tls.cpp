// What TLS costs: an agent's output to a subscriber, and a submit to its first line, over TLS against plain, by turns in the
// same run, with a broker and an agent of its own. usage: tls AGENT_ENTRY ROUNDS MEGABYTES SUBMITS

#include <array>
#include <cstdlib>

#include "bench.hpp"
#include "output_reader.hpp"
#include "private_agent.hpp"
#include "program.hpp"

using namespace sutfleet;
using namespace sutfleet::bench;
using namespace std::chrono_literals;

namespace {

struct Way {
    const char* name;
    std::string url;
    Samples megabytes_a_second, trips, submits;
};

/// The agent's own log counts, so that what the job's start costs is not in it: from its first byte to its last.
double pump(const std::string& agent, const std::string& plain, const std::string& url, const std::string& id, std::uint64_t bytes) {
    test::OutputReader reader(plain);
    const test::PrivateAgent running(agent, url);
    mqtt::SessionOptions options;
    options.url = plain;
    options.client_id = "bench-pump";
    Submitter submitter(std::move(options), *SutName::parse("alpha"));
    submitter.client().wait([&](const mqtt::Message* message) { return message != nullptr && submitter.ready(*message); });
    const auto lines = std::to_string(bytes / 100);
    submitter.client().publish("alpha/submit", R"({"id":")" + id + R"(","command":"yes )" + std::string(99, 'x') + " | head -n " + lines + R"("})");
    if (!test::eventually([&] { return reader.stream(id).end > 0; }, 60s)) give_up("no output");
    const auto start = sys::steady_now();
    if (!test::eventually([&] { return reader.stream(id).end + 1 >= bytes; }, 300s)) give_up("the output does not end");
    const auto took = since(start) / 1000;
    if (const auto& stream = reader.stream(id); stream.missing > 0 || stream.dropped > 0) give_up("output was lost");
    return static_cast<double>(bytes) / 1e6 / took;
}

void submits(const std::string& agent, Way& way, const std::string& ca, int round, int count) {
    const test::PrivateAgent running(agent, way.url);
    mqtt::SessionOptions options;
    options.url = way.url;
    options.ca = ca;
    options.client_id = "bench-submit";
    Submitter submitter(std::move(options), *SutName::parse("alpha"));
    submitter.client().wait([&](const mqtt::Message* message) { return message != nullptr && submitter.ready(*message); });
    for (int i = -5; i < count; ++i) {
        rest();
        const auto mark = "line-" + std::to_string(round) + "-" + std::to_string(i);
        const double trip = submitter.round_trip();
        const double took = submitter.submit("echo " + mark, k_output, mark);
        if (i < 0) continue;
        way.trips.push_back(trip);
        way.submits.push_back(took);
    }
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 5) give_up("usage: tls AGENT_ENTRY ROUNDS MEGABYTES SUBMITS");
    const std::string agent = argv[1];
    const int rounds = std::atoi(argv[2]), count = std::atoi(argv[4]);
    const auto bytes = static_cast<std::uint64_t>(std::atoi(argv[3])) * 1'000'000;
    const test::TempFolder folder;
    const auto made = test::run({SOURCE_FOLDER "/broker/certificates.sh", folder.path(), folder.path() + "/tls", "127.0.0.1"});
    if (made.exit != 0) give_up(made.out);
    const auto ca = folder.path() + "/ca.pem", pem = folder.path() + "/tls/broker.pem";
    ::setenv("SSL_CERT_FILE", ca.c_str(), 1);  // the agent's
    const auto port = std::to_string(test::free_port());
    const test::PrivateBroker broker("max_inflight_messages 1000\nlistener " + port + " 127.0.0.1\ncertfile " + pem + "\nkeyfile " + pem + "\n");
    std::array<Way, 2> ways{Way{"plain", broker.url(), {}, {}, {}}, Way{"TLS", "mqtts://127.0.0.1:" + port, {}, {}, {}}};
    for (int round = 0; round < rounds; ++round)
        for (auto& way : ways) {
            way.megabytes_a_second.push_back(pump(agent, broker.url(), way.url, "j" + std::to_string(round) + way.name, bytes));
            submits(agent, way, ca, round, count / rounds);
        }
    for (auto& way : ways)
        std::printf("%-5s  pump %7.1f MB/s (median of %d)   round trip, ms  p50 %6.2f   submit to first line, ms  p50 %6.2f  p99 %6.2f  (%zu; %ld between 38 and 50 ms)\n",
                    way.name, at(way.megabytes_a_second, 0.5), rounds, at(way.trips, 0.5), at(way.submits, 0.5), at(way.submits, 0.99),
                    way.submits.size(), delayed_acks(way.submits));
    std::printf("TLS against plain: pump %.2f of its speed, round trip p50 %.2f of its time, submit p50 %.2f of its time\n",
                at(ways[1].megabytes_a_second, 0.5) / at(ways[0].megabytes_a_second, 0.5), at(ways[1].trips, 0.5) / at(ways[0].trips, 0.5),
                at(ways[1].submits, 0.5) / at(ways[0].submits, 0.5));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "tls: %s\n", error.what());
    return 1;
}
