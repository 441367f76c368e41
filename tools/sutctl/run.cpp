#include <cstdlib>
#include <filesystem>
#include <set>

#include "commands.hpp"
#include "core/version.hpp"
#include "template.hpp"

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
    if (command == "credentials") return credentials(context);
    return control(context);
}

Outcome<int> connect_and_run(const Options& options, const Screen& screen,
                             const sys::Signals& signals) {
    std::error_code error;
    auto connection =
        find_connection(from_environment, std::filesystem::current_path(error).string());
    if (!connection) return tl::make_unexpected(connection.error());
    if (connection->open) screen.say("OPEN BROKER: whoever reaches it may do all that you may (compose/anonymous.yaml)");
    Topics topics(connection->prefix);
    return run_online({options, screen, signals, *std::move(connection), std::move(topics)});
}

Outcome<int> complete(const Options& options, const Screen& screen, const sys::Signals& signals) {
    if (options.shell == "suts") return list_suts(options, screen, signals);
    if (options.shell == "templates") {
        for (const auto& each : shipped_templates()) screen.line(each.name);
        return k_ok;
    }
    screen.print(completion_script(options.shell, command_table()));
    return k_ok;
}

Outcome<int> run_fallible(const Options& options, const Screen& screen,
                          const sys::Signals& signals) {
    if (options.command == "add") return add(options, screen);
    if (options.command == "secret") return secret(options, screen);
    if (options.command == "completion") return complete(options, screen, signals);
    return connect_and_run(options, screen, signals);
}

/// Those of the conf folder and those of the broker; that one of them is not there is no error.
std::set<std::string> known_suts(const sys::Signals& signals) {
    std::set<std::string> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(conf_folder(), error))
        if (entry.path().extension() == ".conf" && SutName::parse(entry.path().stem().string()))
            out.insert(entry.path().stem().string());
    auto connection =
        find_connection(from_environment, std::filesystem::current_path(error).string());
    if (!connection) return out;
    Topics topics(connection->prefix);
    auto link = Link::open(*connection, {{topics.of_all(k_agent), 1, true}}, signals);
    while (link) {
        const auto heard = (*link)->next(std::chrono::steady_clock::now() + std::chrono::seconds(2));
        if (heard.kind != Heard::Kind::message) break;
        if (const auto topic = topics.parse(heard.message.topic)) out.insert(topic->sut.str());
    }
    return out;
}

}  // namespace

Outcome<int> list_suts(const Options&, const Screen& screen, const sys::Signals& signals) {
    for (const auto& name : known_suts(signals)) screen.line(name);
    return k_ok;
}

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
    if (options.command == "doctor") return doctor(options, screen, signals);
    const auto outcome = run_fallible(options, screen, signals);
    if (outcome) return *outcome;
    if (!outcome.error().message.empty()) screen.say(outcome.error().message);
    return outcome.error().exit;
}

}  // namespace sutfleet::ctl
