#include <cstdlib>
#include <filesystem>

#include "commands.hpp"
#include "core/version.hpp"

namespace sutfleet::ctl {
namespace {

std::string from_environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

Outcome<int> run_online(const Context& context) {
    const auto& command = context.options.command;
    if (command == "ps") return ps(context);
    if (command == "describe") return describe(context);
    if (command == "logs") return logs(context);
    if (command == "submit") return submit(context);
    if (command == "jobs") return jobs(context);
    if (command == "job") return job(context);
    if (command == "events") return events(context);
    return control(context);
}

Outcome<int> connect_and_run(const Options& options, const Screen& screen,
                             const sys::Signals& signals) {
    std::error_code error;
    auto connection =
        find_connection(from_environment, std::filesystem::current_path(error).string());
    if (!connection) return tl::make_unexpected(connection.error());
    Topics topics(connection->prefix);
    return run_online({options, screen, signals, *std::move(connection), std::move(topics)});
}

}  // namespace

Outcome<SutName> wanted_sut(const Options& options) {
    auto sut = SutName::parse(options.sut);
    if (!sut) return tl::make_unexpected(Failure{k_usage, sut.error().message});
    return *std::move(sut);
}

int run(const Options& options, const sys::Signals& signals) {
    const Screen screen(options.color);
    if (options.command == "version") {
        const std::string version(k_version);
        screen.line(options.json ? "{\"version\":\"" + version + "\"}" : "sutctl " + version);
        return k_ok;
    }
    if (options.command == "validate") return validate(options, screen);
    const auto outcome = connect_and_run(options, screen, signals);
    if (outcome) return *outcome;
    if (!outcome.error().message.empty()) screen.say(outcome.error().message);
    return outcome.error().exit;
}

}  // namespace sutfleet::ctl
