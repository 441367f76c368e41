// sutctl: the fleet from the command line.

#include <csignal>
#include <cstdio>

#include "commands.hpp"
#include "exit.hpp"

int main(int argc, char** argv) {
    using namespace sutfleet;
    const auto parsed = ctl::parse_options(argc, argv);
    std::fputs(parsed.out.c_str(), stdout);
    if (!parsed.error.empty())
        std::fprintf(stderr, "sutctl: %s\nTry 'sutctl --help'.\n", parsed.error.c_str());
    if (!parsed.options) return parsed.exit;

    const auto signals = sys::Signals::open({SIGINT, SIGTERM, SIGHUP});
    if (!signals) {
        std::fprintf(stderr, "sutctl: %s\n", signals.error().message.c_str());
        return ctl::k_failed;
    }
    return ctl::run(*parsed.options, *signals);
}
