// What a fleet costs the supervisor, whatever an engine would add: the real program against a fake engine, with 100,
// 1,000 and 10,000 SUTs in turn. usage: bench_fleet_cost SUPERVISOR [SIZE...]

#include <csignal>
#include <cstdlib>
#include <thread>

#include "bench.hpp"
#include "private_supervisor.hpp"

namespace sutfleet::bench {
namespace {

using namespace std::chrono_literals;
using test::eventually;

/// Nobody speaks for them on the bus.
constexpr auto k_conf = "description: a lab device\nhealth: {max_age: 1d}\n";

std::string name(std::size_t i) { return "sut-" + std::to_string(i); }

double ms(std::chrono::nanoseconds time) { return Millis(time).count(); }

class Fleet {
  public:
    Fleet(const std::string& program, std::size_t size) : size_(size), lab_(program) {
        for (std::size_t i = 0; i < size; ++i) lab_.write_conf(name(i), k_conf);
    }

    void measure() {
        const auto begin = sys::steady_now();
        lab_.start();
        must(eventually([&] { return lab_.engine.running() == size_; }, 600s), "all run");
        const auto took = since(begin) / 1000;
        const auto start_cpu = settled();
        const auto idle = idle_share();
        const auto main_before = lab_.main_cpu();
        const auto passes = each(5, [&](std::size_t) { pass(); });
        const auto main_passes = ms(lab_.main_cpu() - main_before) / 5;
        const auto confs = each(50, [&](std::size_t i) { change_conf(i); });
        const auto events = each(200, [&](std::size_t i) { event(i); });
        const auto beats = heartbeats();
        std::printf("%6zu %9.1f %10.2f %10.1f %9.3f %9.1f %9.1f %9.2f %9.2f %9.3f\n", size_, took, ms(start_cpu) / static_cast<double>(size_),
                    static_cast<double>(lab_.resident_kib()) / 1024, idle * 100, main_passes, passes, confs, events, beats);
        std::fflush(stdout);
    }

  private:
    static void must(bool so, const char* what) {
        if (!so) give_up(std::string("not within its limit: ") + what);
    }
    /// Waits until the supervisor has nothing left to do. @return the CPU that it has used by then
    std::chrono::nanoseconds settled() {
        auto before = lab_.cpu();
        for (int i = 0; i < 1200; ++i) {
            ::poll(nullptr, 0, 50);
            const auto now = lab_.cpu();
            if (now - before < 500us) return now;
            before = now;
        }
        give_up("the supervisor never rests");
    }
    double idle_share() {
        const auto before = lab_.cpu();
        const auto begin = sys::steady_now();
        ::poll(nullptr, 0, 5000);
        return ms(lab_.cpu() - before) / since(begin);
    }
    /// CPU of one, in ms
    template <typename Do>
    double each(std::size_t count, Do once) {
        const auto before = settled();
        for (std::size_t i = 0; i < count; ++i) once(i);
        return ms(settled() - before) / static_cast<double>(count);
    }
    /// All confs, all containers, a decision for each.
    void pass() {
        const auto lists = lab_.engine.asked("list");
        lab_.signal(SIGHUP);
        must(eventually([&] { return lab_.engine.asked("list") > lists; }), "a look at all");
        (void)settled();
    }
    void change_conf(std::size_t i) {
        const auto before = lab_.engine.asked("archive");
        lab_.write_conf(name(i * 7919 % size_), std::string(k_conf) + "env: {N: '" + std::to_string(++edits_) + "'}\n");
        must(eventually([&] { return lab_.engine.asked("archive") > before; }), "a changed conf is delivered");
    }
    void event(std::size_t i) {
        const auto before = lab_.engine.asked("inspect");
        lab_.engine.nudge(name(i * 7919 % size_));
        must(eventually([&] { return lab_.engine.asked("inspect") > before; }), "an event is looked into");
    }
    double heartbeats() {
        const auto line = "mosquitto_pub -h 127.0.0.1 -p " + std::to_string(lab_.broker.port()) + " -q 1 -l -t " + name(1) + "/agent";
        FILE* to = ::popen(line.c_str(), "w");
        if (to == nullptr) give_up("mosquitto_pub cannot be run");
        const auto send = [&](std::size_t count) {
            for (std::size_t i = 0; i < count; ++i) {
                std::fputs("ok\n", to);
                std::fflush(to);
                ::poll(nullptr, 0, 2);
            }
        };
        send(100);  // the first is a change
        constexpr std::size_t k_count = 1000;
        const auto before = settled();
        send(k_count);
        const auto took = settled() - before;
        ::pclose(to);
        return ms(took) / static_cast<double>(k_count);
    }

    const std::size_t size_;
    test::PrivateSupervisor lab_;
    int edits_ = 0;
};

}  // namespace
}  // namespace sutfleet::bench

int main(int argc, char** argv) try {
    if (argc < 2) {
        std::fputs("usage: bench_fleet_cost SUPERVISOR [SIZE...]\n", stderr);
        return 2;
    }
    std::vector<std::size_t> sizes;
    for (int i = 2; i < argc; ++i) sizes.push_back(std::strtoul(argv[i], nullptr, 10));
    if (sizes.empty()) sizes = {100, 1000, 10000};
    std::puts("pass: confs, decisions, reports; +list: with the engine's list of all, which other threads fetch and read");
    std::puts("The supervisor's own cost, on a fake engine (CPU of all its threads; aims at 10,000: a pass under 100 ms, under 150 MiB):");
    std::puts("  SUTs  all run,s  CPU/SUT,ms  resident,MiB  idle,%  pass,ms  +list,ms  conf,ms  event,ms  heartbeat,ms");
    for (const auto size : sizes) sutfleet::bench::Fleet(argv[1], size).measure();
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "bench_fleet_cost: %s\n", error.what());
    return 1;
}
