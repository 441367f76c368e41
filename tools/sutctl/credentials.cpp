// `credentials`: shows who we are at the broker, and changes passwords. A SUT's is the supervisor's to change; a person's is
// made here, where it is kept, and only its hash goes over the bus.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "auth/broker_password.hpp"
#include "commands.hpp"
#include "json_text.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_taken_limit = 30s;
constexpr std::size_t k_limit = 64 * 1024;

/// Where a person's password is kept on the stack's machine: `init` made these files, and reads them again.
struct PersonFiles {
    std::string user, password, next, environment;
};

Outcome<PersonFiles> files_of(const Context& context, const std::string& user) {
    const auto folder = std::filesystem::path(context.connection.from).parent_path();
    PersonFiles out{user, (folder / (user + ".password")).string(), {}, (folder / (user == "operator" ? "client.env" : user + ".env")).string()};
    out.next = out.password + ".next";
    if (sys::read_short_text(out.password).empty())
        return tl::make_unexpected(Failure{k_failed, "no " + out.password + ": the password of " + user +
                                                         " is changed on the stack's own machine, by ./tools/ctl"});
    return out;
}

Failure failed(const Error& error) { return {k_failed, error.message}; }

/// In place of `path`, and its owner's: with sudo it would become root's.
Outcome<> replace(const std::string& path, const std::string& text) {
    struct stat old {};
    const bool known = ::stat(path.c_str(), &old) == 0;
    if (auto written = sys::write_file_atomic(path, text, 0600, sys::Durability::durable); !written) return tl::make_unexpected(failed(written.error()));
    if (known && ::chown(path.c_str(), old.st_uid, old.st_gid) != 0)
        return tl::make_unexpected(Failure{k_failed, "cannot give " + path + " back to its owner"});
    return {};
}

std::string with_password(const std::string& environment, const std::string& password) {
    constexpr std::string_view k_key = "SUTFLEET_PASSWORD=";
    std::string out;
    for (std::size_t at = 0; at < environment.size();) {
        const auto end = std::min(environment.find('\n', at), environment.size());
        const auto line = std::string_view(environment).substr(at, end - at);
        at = end + 1;
        out += line.starts_with(k_key) ? std::string(k_key) + password : std::string(line);
        out += '\n';
    }
    return out;
}

bool takes(const Context& context, const std::string& user, const std::string& password) {
    auto connection = context.connection;
    connection.user = user;
    connection.password = password;
    return Link::open(connection, {}, context.signals).has_value();
}

/// The broker has it: now it is the one that is kept.
Outcome<> keep(const PersonFiles& files, const std::string& password) {
    const auto environment = sys::read_file(files.environment, k_limit);
    if (!environment) return tl::make_unexpected(failed(environment.error()));
    if (auto done = replace(files.password, password + "\n"); !done) return done;
    if (auto done = replace(files.environment, with_password(*environment, password)); !done) return done;
    ::unlink(files.next.c_str());
    return {};
}

Outcome<> make_next(const PersonFiles& files) {
    const auto password = auth::make_password();
    if (!password) return tl::make_unexpected(failed(password.error()));
    if (auto kept = sys::write_file_atomic(files.next, *password + "\n", 0600, sys::Durability::durable); !kept)
        return tl::make_unexpected(failed(kept.error()));
    return {};
}

Outcome<> tell_broker(const Context& context, const PersonFiles& files, const std::string& next) {
    const auto line = auth::password_line(files.user, next);
    if (!line) return tl::make_unexpected(failed(line.error()));
    // The supervisor may be changing its own and be away for a moment; and the broker ends the connections of whoever has the
    // old password, so that the answer may be lost. What counts is that the new one is taken.
    for (const auto deadline = Clock::now() + k_taken_limit;; std::this_thread::sleep_for(500ms)) {
        const auto told = ask_supervisor(context, "password", *line);
        for (const auto soon = Clock::now() + 2s; Clock::now() < soon; std::this_thread::sleep_for(100ms))
            if (takes(context, files.user, next)) return {};
        if (Clock::now() < deadline && (!told || *told == k_ok)) continue;
        return tl::make_unexpected(told ? Failure{k_failed, "the broker does not take the new password of " + files.user + " yet: try again"} : told.error());
    }
}

Outcome<int> rotate_person(const Context& context, const std::string& user) {
    const auto files = files_of(context, user);
    if (!files) return tl::make_unexpected(files.error());
    // One that was cut off may have come as far as the broker.
    auto next = sys::read_short_text(files->next);
    if (next.empty() || !takes(context, user, next)) {
        if (auto made = make_next(*files); !made) return tl::make_unexpected(made.error());
        next = sys::read_short_text(files->next);
        if (auto told = tell_broker(context, *files, next); !told) return tl::make_unexpected(told.error());
    }
    if (auto kept = keep(*files, next); !kept) return tl::make_unexpected(kept.error());
    context.screen.say("the password of " + user + " is changed in " + files->environment + "; other clients need it, too");
    return k_ok;
}

/// The operator's last: all that goes before needs it.
Outcome<int> rotate_all(const Context& context) {
    if (const auto asked = ask_supervisor(context, "rotate", "--all"); !asked || *asked != k_ok) return asked;
    if (const auto viewer = rotate_person(context, "viewer"); !viewer) return viewer;
    return rotate_person(context, "operator");
}

int show(const Context& context) {
    const auto& ours = context.connection;
    if (context.options.json) {
        context.screen.line(dump_json({{"broker", ours.url}, {"user", ours.user}, {"password", ours.password}, {"ca", ours.ca}}));
        return k_ok;
    }
    context.screen.print("SUTFLEET_BROKER=" + ours.url + "\nSUTFLEET_USER=" + ours.user + "\nSUTFLEET_PASSWORD=" + ours.password +
                         "\nSUTFLEET_CA=" + ours.ca + "\n");
    context.screen.say("from " + ours.from + "; from another machine: mqtts://<this machine>:8883 or wss://<this machine>:9443 (.env names the ports), with the file of SUTFLEET_CA");
    return k_ok;
}

}  // namespace

Outcome<int> credentials(const Context& context) {
    const auto& whose = context.options.sut;
    if (context.options.step.empty()) return show(context);
    if (context.options.all) return rotate_all(context);
    if (whose == "operator" || whose == "viewer") return rotate_person(context, whose);
    const auto sut = wanted_sut(context.options);
    if (!sut) return tl::make_unexpected(sut.error());
    return ask_supervisor(context, "rotate", sut->str());
}

}  // namespace sutfleet::ctl
