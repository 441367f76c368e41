// supervisor: keeps one container per conf.

#include <malloc.h>

#include <cstdio>

#include "privileges.hpp"
#include "settings.hpp"
#include "supervisor.hpp"
#include "sys/crash_point.hpp"
#include "sys/log.hpp"
#include "sys/process.hpp"

namespace {

int give_up(const sutfleet::Error& error) {
    sutfleet::sys::log(sutfleet::sys::Level::error, error.message);
    return error.kind == sutfleet::ErrorKind::conflict ? 4 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    ::mallopt(M_ARENA_MAX, 2);  // not one for each of our threads: what one gives back, another can use
    sutfleet::sys::arm_crash_points();
    const auto settings = sutfleet::read_settings(argc, argv);
    if (!settings) return settings.error();
    sutfleet::sys::start_log("supervisor");
    if (const auto dropped = sutfleet::drop_privileges(settings->docker_host); !dropped) return give_up(dropped.error());
    sutfleet::sys::forbid_dumps();  // secrets and passwords are in memory
    if (settings->plan_only) {
        const auto text = sutfleet::Supervisor::plan(*settings);
        if (!text) return give_up(text.error());
        return std::fputs(text->c_str(), stdout) < 0 ? 1 : 0;
    }
    auto supervisor = sutfleet::Supervisor::open(*settings);
    return supervisor ? (*supervisor)->run() : give_up(supervisor.error());
}
