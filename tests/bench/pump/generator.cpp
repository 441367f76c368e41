// Writes numbered lines to stdout: line 0 at once, the others when somebody writes into the pipe FOLDER/go. A rate of 0 is
// as fast as they are taken, 64 KiB at a time; any other is lines per second, each written by itself with the time in it;
// `trickle` is a line every 25 to 75 ms. At the end it leaves the seconds that it took in FOLDER/took.
// usage: pump_generator LINES BYTES RATE FOLDER

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>

#include "line.hpp"

using namespace sutfleet::bench;

namespace {

void write_all(const char* bytes, std::size_t size) {
    while (size > 0) {
        const auto put = ::write(STDOUT_FILENO, bytes, size);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) std::exit(1);
        bytes += put;
        size -= static_cast<std::size_t>(put);
    }
}

void wait_for_go(const std::string& folder) {
    const int fd = ::open((folder + "/go").c_str(), O_RDONLY);
    char byte = 0;
    if (fd < 0 || ::read(fd, &byte, 1) < 0) std::exit(1);
    ::close(fd);
}

void pour(std::uint64_t lines, std::size_t bytes) {
    const std::size_t at_once = 64 * 1024 / bytes;
    std::string buffer;
    for (std::size_t i = 0; i < at_once; ++i) buffer += std::string(k_number, '0') + std::string(bytes - k_number - 1, '.') + "\n";
    for (std::uint64_t number = 1; number <= lines;) {
        std::size_t size = 0;
        for (; size < at_once * bytes && number <= lines; size += bytes) put_digits(buffer.data() + size, k_number, number++);
        write_all(buffer.data(), size);
    }
}

void pace(std::uint64_t lines, std::string line, std::int64_t rate) {
    auto due = monotonic_ns();
    std::srand(1);
    for (std::uint64_t number = 1; number <= lines; ++number) {
        // A trickle has its gaps also when it is late; a rate makes up for it.
        due = rate > 0 ? due + 1'000'000'000 / rate : monotonic_ns() + 25'000'000 + std::rand() % 50'000'000;
        const timespec until{due / 1'000'000'000, due % 1'000'000'000};
        while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) continue;
        put_line(line.data(), line.size(), number, monotonic_ns());
        write_all(line.data(), line.size());
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 5) return std::fputs("usage: pump_generator LINES BYTES RATE|trickle FOLDER\n", stderr), 2;
    const std::uint64_t lines = std::strtoull(argv[1], nullptr, 10);
    const std::size_t bytes = std::strtoull(argv[2], nullptr, 10);
    const std::string rate = argv[3], folder = argv[4];
    if (bytes <= k_number || bytes > 64 * 1024) return std::fputs("pump_generator: BYTES: expected 10 to 65536\n", stderr), 2;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a benchmark that gave up leaves nobody behind
    std::string line = std::string(k_number, '0') + std::string(bytes - k_number - 1, '.') + "\n";
    put_line(line.data(), bytes, 0, 0);
    write_all(line.data(), bytes);
    wait_for_go(folder);
    const auto start = monotonic_ns();
    rate == "0" ? pour(lines, bytes) : pace(lines, line, rate == "trickle" ? 0 : std::strtoll(rate.c_str(), nullptr, 10));
    const auto took = std::to_string(static_cast<double>(monotonic_ns() - start) / 1e9) + "\n";
    const int fd = ::open((folder + "/took").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    return ::write(fd, took.data(), took.size()) < 0 ? 1 : 0;
}
