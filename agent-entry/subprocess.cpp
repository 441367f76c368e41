// The children of an agent: its long-running subprocess, and how any child is started.

#include <csignal>
#include <cstdlib>

#include "agent.hpp"
#include "sys/clock.hpp"
#include "sys/log.hpp"

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

}  // namespace

Result<Agent::Running> Agent::start(const Command& command, const std::shared_ptr<LogFile>& log,
                                    const std::string& folder, const std::map<std::string, std::string>& extra,
                                    const std::string& label, bool of_job) {
    auto source = pump_->add(log, label);
    if (!source) return fail(source.error());
    auto own = extra;
    own["SUTFLEET_SUT"] = conf_.sut.str();
    const int out = source->second.get();
    const auto child = sys::spawn({.argv = command.argv, .environment = environment(conf_.rules.env, own), .working_folder = folder,
                                   .out = out, .err = out, .marked = of_job, .offered_to_oom_killer = true});
    if (!child) {
        pump_->finish(source->first);
        return fail(child.error());
    }
    return Running{child->pid, source->first, {}};
}

Household::Hands Agent::hands() {
    const auto probe_program = sys::program_folder() + "/http-probe";
    return {[this](const Command& command, const std::string& label,
                   const std::map<std::string, std::string>& extra) -> Result<Household::Process> {
                const auto child = start(command, log_, {}, extra, label);
                if (!child) return fail(child.error());
                return Household::Process{child->pid, child->source};
            },
            [this, probe_program](std::vector<std::string> arguments, int out) -> Result<Household::Process> {
                arguments.insert(arguments.begin(), probe_program);
                const auto child = sys::spawn({.argv = std::move(arguments), .environment = environment(conf_.rules.env, {}), .out = out, .offered_to_oom_killer = true});
                if (!child) return fail(child.error());
                return Household::Process{child->pid, 0};
            },
            [this](SourceId source) { pump_->finish(source); },
            [this](const std::string& level, const std::string& text) {
                const auto topic = topics_.of(conf_.sut, level);
                text.empty() ? board_.clear(topic) : board_.refresh(topic, text);
            }};
}

void Agent::run_command(SteadyTime now) {
    if (command_ || stopping_ || !household_->ready() || !lifecycle_.start_due(now)) return;
    lifecycle_.started(now);
    output_watch_.command_starts();
    silence_.restart(now);
    auto child = start(*conf_.rules.command, log_, {}, {});
    if (child) {
        command_ = *child;
        command_code_.reset();
        return;
    }
    const int code = sys::shell_code(child.error());
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
