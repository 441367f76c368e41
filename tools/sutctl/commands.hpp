#pragma once
// The subcommands: each does one thing and returns the exit code.

#include <functional>
#include <string>
#include <vector>

#include "connection.hpp"
#include "core/topics.hpp"
#include "link.hpp"
#include "options.hpp"
#include "screen.hpp"

namespace sutfleet::ctl {

struct Context {
    const Options& options;
    const Screen& screen;
    const sys::Signals& signals;
    Connection connection;
    Topics topics;
};

int validate(const Options& options, const Screen& screen);
Outcome<int> add(const Options& options, const Screen& screen);
Outcome<int> secret(const Options& options, const Screen& screen);
int doctor(const Options& options, const Screen& screen, const sys::Signals& signals);
/// `completion suts`: what the scripts ask for.
Outcome<int> list_suts(const Options& options, const Screen& screen, const sys::Signals& signals);
/// $SUTFLEET_SUT_DIR, or `sut`.
std::string conf_folder();
Outcome<int> ps(const Context& context);
Outcome<int> describe(const Context& context);
Outcome<int> logs(const Context& context);
Outcome<int> submit(const Context& context);
Outcome<int> submit_to_queue(const Context& context);
Outcome<int> jobs(const Context& context);
Outcome<int> job(const Context& context);
Outcome<int> events(const Context& context);
/// cancel, restart, drain, resume, prune, reinit on the SUT; reset, plan, apply on the fleet.
Outcome<int> control(const Context& context);
Outcome<int> credentials(const Context& context);
/// One command for the supervisor, its answer on the screen.
Outcome<int> ask_supervisor(const Context& context, const std::string& verb, const std::string& argument);

/// Gives every retained message of the filters to `hear`.
Outcome<> look_once(const Context& context, const std::vector<std::string>& filters,
                    const std::function<void(const mqtt::Message&)>& hear);
/// The SUT that the command line names.
Outcome<SutName> wanted_sut(const Options& options);
/// Everything ends here: runs the subcommand, says what went wrong.
int run(const Options& options, const sys::Signals& signals);

}  // namespace sutfleet::ctl
