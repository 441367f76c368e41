// Submit to the first output line at a subscriber, against what it cannot be quicker than: one round trip through the
// broker and one spawn of a shell, taken by turns in the same run. usage: first_line URL USER PASSWORD_FILE SUT COUNT

#include <cstdlib>

#include "bench.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::bench;

int main(int argc, char** argv) try {
    if (argc != 6) give_up("usage: first_line URL USER PASSWORD_FILE SUT COUNT");
    mqtt::SessionOptions options;
    options.url = argv[1];
    options.client_id = "bench-" + std::to_string(::getpid());
    options.user = argv[2];
    auto password = sys::read_file(argv[3], 1024).value_or("");
    while (!password.empty() && password.back() == '\n') password.pop_back();
    options.password = [password] { return password; };
    const auto sut = SutName::parse(argv[4]);
    if (!sut) give_up(sut.error().message);
    Submitter submitter(std::move(options), *sut);
    Samples ours, floor;
    const auto count = std::strtol(argv[5], nullptr, 10);
    for (int i = -10; i < static_cast<int>(count); ++i) {  // ten to warm up
        rest();
        const double bare = submitter.round_trip() + spawn_and_read_line();
        const auto mark = "line-" + std::to_string(::getpid()) + "-" + std::to_string(i);
        const double line = submitter.submit("echo " + mark, k_output, mark);
        if (i < 0) continue;
        floor.push_back(bare);
        ours.push_back(line);
    }
    std::printf("submit to first line, ms      p50 %6.2f  p99 %6.2f   (%d, QoS 1; %ld between 38 and 50 ms)\n", at(ours, 0.5),
                at(ours, 0.99), static_cast<int>(count), delayed_acks(ours));
    std::printf("round trip + spawn, ms        p50 %6.2f  p99 %6.2f\n", at(floor, 0.5), at(floor, 0.99));
    std::printf("ratio of the p50              %6.2f       aim: at most 2\n", at(ours, 0.5) / at(floor, 0.5));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "first_line: %s\n", error.what());
    return 1;
}
