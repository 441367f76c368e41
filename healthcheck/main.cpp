// healthcheck: the engine's probe. Reads the heartbeat, says yes or no in one line. Static, no library but libc:
// it runs in any image, a few times a minute, on every agent.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string>

#include "core/agent_files.hpp"
#include "core/heartbeat.hpp"
#include "core/version.hpp"

namespace {

constexpr const char* k_help =
    "healthcheck: exit 0 and `ok`, or 1 and the reason\n\n"
    "  --run-dir DIR   where the heartbeat is (default /run/sutfleet)\n"
    "  --help, --version\n";

int say(int code, const std::string& line) {
    std::printf("%s\n", line.c_str());
    return code;
}

std::int64_t boot_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int probe(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return say(1, "no heartbeat: " + path + ": " + std::strerror(errno));
    char text[sutfleet::k_heartbeat_limit + 1];
    const auto got = ::read(fd, text, sizeof text);
    const auto beat = sutfleet::decode_heartbeat({text, got > 0 ? static_cast<std::size_t>(got) : 0});
    if (!beat) return say(1, "the heartbeat cannot be read: " + path);
    const auto verdict = sutfleet::judge(*beat, boot_ns());
    if (verdict.health == sutfleet::Health::unhealthy) return say(1, verdict.why);
    const std::string name(sutfleet::to_string(verdict.health));
    return say(0, verdict.why.empty() ? name + ": heartbeat is fresh" : name + ": " + verdict.why);
}

}  // namespace

int main(int argc, char** argv) {
    std::string folder(sutfleet::agent_files::k_run);
    for (int i = 1; i < argc; ++i) {
        const std::string option(argv[i]);
        if (option == "--help") return say(0, k_help);
        if (option == "--version") return say(0, "healthcheck " + std::string(sutfleet::k_version));
        if (option != "--run-dir" || i + 1 == argc) {
            std::fprintf(stderr, "healthcheck: unknown option or missing value: '%s'\n%s", option.c_str(), k_help);
            return 2;
        }
        folder = argv[++i];
    }
    return probe(folder + "/" + std::string(sutfleet::agent_files::k_heartbeat));
}
