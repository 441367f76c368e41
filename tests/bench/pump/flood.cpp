// As fast as they take it, in lines of three lengths.

#include "parts.hpp"

namespace sutfleet::bench {
namespace {

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::agent: return "agent-entry (file, stdout, MQTT)";
        case Kind::tee: return "tee file";
        case Kind::tee_and_publish: return "tee file | mosquitto_pub -l -q 0";
        case Kind::s6_log: return "s6-log (file)";
        case Kind::python: return "python (file, stdout, MQTT)";
    }
    return "";
}

struct Flood {
    double rate = 0;     ///< lines/s
    double local = 0;    ///< lines/s, without the subscriber
    double cpu_us = 0;   ///< of a line
    double broker_us = 0;
    long peak_kib = 0;
    std::uint64_t lost = 0, doubled = 0;
};

std::uint64_t lines_of(Kind kind, std::size_t bytes) {
    if (kind == Kind::python) return 60'000;
    if (kind == Kind::tee_and_publish) return 200'000;
    return bytes == 10 ? 5'000'000 : bytes == 100 ? 1'000'000 : 300'000;
}

Flood flood(Kind kind, const Programs& programs, std::size_t bytes, std::uint64_t divide) {
    const Load load{lines_of(kind, bytes) / divide, bytes};
    Contender contender(kind, programs, load);
    contender.go();
    const auto out = contender.finish();
    const auto lines = static_cast<double>(load.lines);
    return {lines / out.seconds, lines / out.local, out.cpu / lines * 1e6, out.broker_cpu / lines * 1e6, out.peak_kib, out.lost, out.doubled};
}

double median_of(const std::vector<Flood>& runs, double Flood::* figure) {
    Samples samples;
    for (const auto& run : runs) samples.push_back(run.*figure);
    return median(samples);
}

void print_flood(Kind kind, std::size_t bytes, const std::vector<Flood>& runs) {
    std::uint64_t lost = 0, doubled = 0;
    long peak = 0;
    for (const auto& run : runs) lost += run.lost, doubled += run.doubled, peak = std::max(peak, run.peak_kib);
    std::printf("%-34s %5zu %11.0f %11.0f %9.3f %9.3f %7.1f %6llu %7llu\n", name_of(kind), bytes, median_of(runs, &Flood::local),
                median_of(runs, &Flood::rate), median_of(runs, &Flood::cpu_us), median_of(runs, &Flood::broker_us),
                static_cast<double>(peak) / 1024, static_cast<unsigned long long>(lost), static_cast<unsigned long long>(doubled));
}

}  // namespace

void floods(const Programs& programs, const Plan& plan) {
    constexpr Kind k_all[] = {Kind::agent, Kind::tee, Kind::s6_log, Kind::tee_and_publish, Kind::python};
    std::printf("a flood                            bytes     lines/s     lines/s    CPU us    broker     RSS   lost doubled\n"
                "                                  a line       local  subscriber    a line    a line     MiB\n");
    for (const std::size_t bytes : {100U, 10U, 1024U}) {
        std::map<Kind, std::vector<Flood>> runs;
        for (int round = 0; round < plan.rounds; ++round)
            for (const auto kind : k_all) runs[kind].push_back(flood(kind, programs, bytes, plan.divide));
        for (const auto kind : k_all) print_flood(kind, bytes, runs[kind]);
        const auto rate = [&](Kind kind) { return median_of(runs[kind], &Flood::rate); };
        const auto against_tee = rate(Kind::agent) / rate(Kind::tee), against_s6 = rate(Kind::agent) / rate(Kind::s6_log);
        const auto cpu = median_of(runs[Kind::python], &Flood::cpu_us) / median_of(runs[Kind::agent], &Flood::cpu_us);
        verdict("lines/s up to the subscriber, of tee's", against_tee, ">= 0.5", against_tee >= 0.5);
        verdict("lines/s up to the subscriber, of s6-log's", against_s6, ">= 1", against_s6 >= 1);
        verdict("CPU of a line: python's, in ours", cpu, ">= 150", cpu >= 150);
    }
}

}  // namespace sutfleet::bench
