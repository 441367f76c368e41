// The children of an agent: its long-running subprocess, and how any child is started.

#include <csignal>
#include <cstdlib>

#include "agent.hpp"
#include "sys/clock.hpp"
#include "sys/log.hpp"
#include "sys/process_table.hpp"

extern "C" char** environ;

namespace sutfleet::agent {
namespace {

std::vector<std::string> environment(const std::map<std::string, std::string>& conf,
                                     const std::map<std::string, std::string>& extra) {
    std::map<std::string, std::string> all;
    for (char** at = environ; *at != nullptr; ++at) {
        const std::string entry(*at);
        if (const auto equals = entry.find('='); equals != std::string::npos)
            all[entry.substr(0, equals)] = entry.substr(equals + 1);
    }
    for (const auto* source : {&conf, &extra})
        for (const auto& [key, value] : *source) all[key] = value;
    std::vector<std::string> out;
    out.reserve(all.size());
    for (const auto& [key, value] : all) out.push_back(key + "=" + value);
    return out;
}

int shell_code(const Error& error) { return error.kind == ErrorKind::not_found ? 127 : 126; }

}  // namespace

Result<Agent::Running> Agent::start(const Command& command, const std::shared_ptr<LogFile>& log,
                                    const std::string& folder, const std::map<std::string, std::string>& extra) {
    auto source = pump_->add(log);
    if (!source) return fail(source.error());
    auto own = extra;
    own["SUTFLEET_SUT"] = conf_.sut.str();
    sys::SpawnRequest request{command.argv, environment(conf_.rules.env, own), folder, -1,
                              source->second.get(), source->second.get()};
    const auto child = sys::spawn(request);
    if (!child) {
        pump_->finish(source->first);
        return fail(child.error());
    }
    sys::offer_to_oom_killer(child->pid);
    return Running{child->pid, source->first, {}};
}

void Agent::run_command(SteadyTime now) {
    if (command_ || stopping_ || !lifecycle_.start_due(now)) return;
    lifecycle_.started(now);
    output_watch_.command_starts();
    silence_.restart(now);
    auto child = start(*conf_.rules.command, log_, {}, {});
    if (child) {
        command_ = *child;
        command_code_.reset();
        return;
    }
    const int code = shell_code(child.error());
    sys::log(sys::Level::error, "the command cannot be started: " + child.error().message);
    command_code_ = code;
    lifecycle_.exited(code, now);
}

void Agent::command_ended(SteadyTime now) {
    command_code_ = command_->code;
    sys::log(sys::Level::info, "the command ended with " + std::to_string(*command_code_));
    command_.reset();
    command_kill_at_.reset();
    if (std::exchange(command_restarts_, false)) {
        lifecycle_ = Lifecycle(conf_.rules.command.has_value(), conf_.rules.restart, now);
        return;
    }
    lifecycle_.exited(*command_code_, now);
}

void Agent::restart_command(SteadyTime now) {
    if (!command_) {
        lifecycle_ = Lifecycle(conf_.rules.command.has_value(), conf_.rules.restart, now);
        return;
    }
    if (command_restarts_) return;  // on its way: asking again must not put the kill off
    command_restarts_ = true;
    end_group(command_->pid);
    command_kill_at_ = now + conf_.rules.timeouts.stop;
}

}  // namespace sutfleet::agent
