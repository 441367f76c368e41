#pragma once
// The parts of the pump's benchmark. Each prints its figures, and how they stand to what is aimed at.

#include <cstdio>

#include "contender.hpp"

namespace sutfleet::bench {

struct Plan {
    int rounds = 3;
    std::uint64_t divide = 1;    ///< the lines of a flood by it
    double steady_s = 10;
    std::uint64_t trickle = 400;  ///< lines
    int idle_s = 30;
    int idle_agents = 20;
};

inline constexpr Plan k_quick{3, 4, 4, 100, 10, 20};

inline double median(Samples samples) { return at(samples, 0.5); }

inline void verdict(const char* what, double value, const char* aim, bool met) {
    std::printf("  %-58s %9.3f   aim: %-14s %s\n", what, value, aim, met ? "" : "MISSED");
}

// flood.cpp
void floods(const Programs& programs, const Plan& plan);

// load.cpp
void steady_load(const Programs& programs, const Plan& plan);
void outage(const Programs& programs, const Plan& plan);
void trickle(const Programs& programs, const Plan& plan);

// idle.cpp
void idleness(const Programs& programs, const Plan& plan);
void probe(const Programs& programs, const Plan& plan);

// in_container.cpp
void containers(const Programs& programs, const Plan& plan);
void contained_idleness(const Programs& programs, const Plan& plan);

}  // namespace sutfleet::bench
