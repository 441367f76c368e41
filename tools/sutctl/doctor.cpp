// Looks at all that the fleet stands on, from here; each check is on its own, and says what to do.

#include <sys/statvfs.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "commands.hpp"
#include "conf_check.hpp"
#include "engine_probe.hpp"
#include "fleet_view.hpp"
#include "json_text.hpp"
#include "sys/clock.hpp"

namespace sutfleet::ctl {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

enum class Grade { ok, warn, fail };

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr auto k_start = "start the stack by ./tools/up";
constexpr auto k_clocks_differ = 5s;

std::string from_environment(const char* name, const char* otherwise = "") {
    const char* value = std::getenv(name);
    return value == nullptr || *value == '\0' ? otherwise : value;
}

class Doctor {
  public:
    Doctor(const Options& options, const Screen& screen, const sys::Signals& signals)
        : options_(options), screen_(screen), signals_(signals) {}

    int run() {
        check_engine();
        check_broker();
        check_disk(".");
        check_confs();
        return interrupted_ ? k_interrupted : failed_ ? k_failed : k_ok;
    }

  private:
    void say(Grade grade, const std::string& check, const std::string& what, const std::string& todo = {}) {
        constexpr const char* k_words[] = {"ok", "warn", "fail"};
        constexpr Tone k_tones[] = {Tone::good, Tone::warn, Tone::bad};
        const auto at = static_cast<std::size_t>(grade);
        failed_ = failed_ || grade == Grade::fail;
        const auto text = printable(what);
        if (options_.json)
            return screen_.line(dump_json({{"check", check}, {"grade", k_words[at]}, {"what", text},
                                           {"todo", todo.empty() ? ordered_json() : ordered_json(todo)}}));
        const std::string word(k_words[at]);
        screen_.line(screen_.paint(k_tones[at], word) + std::string(6 - word.size(), ' ') + check +
                     std::string(check.size() < 12 ? 12 - check.size() : 1, ' ') + text + (todo.empty() ? "" : "  -> " + todo));
    }

    // The engine ------------------------------------------------------------------------------------------------
    void check_engine() {
        const auto host = from_environment("DOCKER_HOST", ("unix://" + from_environment("SUTFLEET_SOCKET", "/var/run/docker.sock")).c_str());
        if (!host.starts_with("unix://"))
            return say(Grade::warn, "socket", host + " is not looked at from here", "run `docker version` with it");
        const auto socket = host.substr(7);
        const auto version = ask_engine(socket, "/version");
        if (!version) return say_trouble(socket, version.error());
        say(Grade::ok, "socket", socket);
        say(Grade::ok, "rights", "this user may use it");
        const auto told = parse_json(version->body);
        const auto api = text_at(told, {"ApiVersion"});
        if (version->status != 200 || api.empty())
            return say(Grade::fail, "engine", "answers with status " + std::to_string(version->status), "look at the engine's log");
        const auto name = text_at(told, {"Version"}) + ", API " + api;
        if (api.starts_with("1.") && std::atoi(api.c_str() + 2) >= 40)
            say(Grade::ok, "engine", name);
        else
            say(Grade::fail, "engine", name, "API 1.40 (Docker 19.03) or later is needed");
        check_engine_info(socket);
        check_stack(socket);
    }

    void say_trouble(const std::string& socket, const EngineTrouble& trouble) {
        using Kind = EngineTrouble::Kind;
        if (trouble.kind == Kind::no_rights) {
            say(Grade::ok, "socket", socket);
            return say(Grade::fail, "rights", trouble.message, "use sudo, or join the socket's group: sudo usermod -aG docker $USER, then log in again");
        }
        const bool absent = trouble.kind == Kind::no_socket || trouble.kind == Kind::nobody_listens;
        say(Grade::fail, "socket", trouble.message,
            absent ? "start the engine: sudo systemctl start docker, or ./tools/up; DOCKER_HOST or SUTFLEET_SOCKET names another socket"
                   : "the engine hangs: look at its log (journalctl -u docker), restart it");
    }

    void check_engine_info(const std::string& socket) {
        const auto answer = ask_engine(socket, "/info");
        if (!answer || answer->status != 200)
            return say(Grade::fail, "engine", answer ? "no /info: status " + std::to_string(answer->status) : answer.error().message, "look at the engine's log");
        const auto info = parse_json(answer->body);
        compare_clock("the engine", text_at(info, {"SystemTime"}));
        if (const auto root = text_at(info, {"DockerRootDir"}); !root.empty()) check_disk(root);
    }

    void check_stack(const std::string& socket) {
        const auto tag = from_environment("SUTFLEET_TAG", "latest");
        const auto image = from_environment("SUTFLEET_AGENT_IMAGE", ("sutfleet/agent:" + tag).c_str());
        const auto found = ask_engine(socket, "/images/" + image + "/json");
        if (found && found->status == 200)
            say(Grade::ok, "image", image + " is there");
        else
            say(Grade::fail, "image", image + " is not there", "./tools/up builds it; SUTFLEET_TAG names another tag");
        const auto stack = from_environment("COMPOSE_PROJECT_NAME", from_environment("SUTFLEET_STACK", "sutfleet").c_str());  // here, or beside the supervisor
        for (const auto* role : {"broker", "supervisor"}) {
            const auto answer = ask_engine(socket, "/containers/json?filters=%7B%22label%22%3A%5B%22io.sutfleet.stack%3D" + stack +
                                                       "%22%2C%22io.sutfleet.role%3D" + role + "%22%5D%7D");
            const auto list = answer && answer->status == 200 ? parse_json(answer->body) : ordered_json();
            if (list.is_array() && !list.empty())
                say(Grade::ok, "stack", std::string(role) + " of '" + stack + "': " + text_at(list[0], {"Status"}));
            else
                say(Grade::fail, "stack", std::string("no ") + role + " of the stack '" + stack + "' runs", k_start);
        }
    }

    void compare_clock(const std::string& whose, const std::string& told) {
        const auto now = sys::wall_now();
        const auto at = parse_time(told);
        if (!at) return say(Grade::warn, "clocks", whose + " tells no time");
        const auto apart = std::chrono::round<std::chrono::seconds>(now > *at ? now - *at : *at - now);
        if (apart <= k_clocks_differ)
            say(Grade::ok, "clocks", whose + " has the time of this machine");
        else
            say(Grade::warn, "clocks", whose + " is " + std::to_string(apart.count()) + " s off the time of this machine",
                "let both follow one time server (timedatectl); nothing stops, but times in records and logs differ");
    }

    // The broker ------------------------------------------------------------------------------------------------
    void check_broker() {
        std::error_code error;
        const auto found = find_connection([](const char* name) { return from_environment(name); },
                                           std::filesystem::current_path(error).string());
        if (!found) return say(Grade::fail, "settings", found.error().message, "./tools/up, or ./tools/ctl doctor");
        say(Grade::ok, "settings", "from " + found->from + ": " + found->url + " as " + found->user);
        const Topics topics(found->prefix);
        auto link = Link::open(*found, {{topics.fleet_supervisor(), 1, true}, {topics.fleet_state(), 1, true},
                                        {topics.fleet_sut("+"), 1, true}, {topics.of_all(k_agent), 1, true},
                                        {topics.fleet_response("clock"), 1, false}}, signals_);
        if (!link) {
            interrupted_ = link.error().exit == k_interrupted;
            const bool refused = link.error().exit == k_refused;
            if (refused) say(Grade::ok, "broker", found->url + " answers");
            return say(Grade::fail, refused ? "credentials" : "broker", link.error().message,
                       refused ? "use ./tools/ctl, or the password of the stack's own .sutfleet/client.env" : k_start);
        }
        say(Grade::ok, "broker", found->url + " answers");
        say(Grade::ok, "credentials", "the broker takes user '" + found->user + "'");
        check_fleet(topics, **link);
    }

    void check_fleet(const Topics& topics, Link& link) {
        FleetView fleet(topics);
        std::string state;
        for (auto heard = link.next(Clock::now() + 5s); heard.kind == Heard::Kind::message; heard = link.next(Clock::now() + 5s)) {
            fleet.hear(heard.message.topic, heard.message.payload);
            if (heard.message.topic == topics.fleet_state()) state = heard.message.payload;
        }
        if (fleet.supervisor() != "online")
            return say(Grade::fail, "supervisor", "is " + (fleet.supervisor().empty() ? std::string("not there") : fleet.supervisor()),
                       "look at its log: docker logs <its container>, or " + std::string(k_start));
        say(Grade::ok, "supervisor", "is online");
        const auto totals = parse_json(state);
        if (const auto engine = text_at(totals, {"engine"}); !engine.empty() && engine != "ok")
            say(Grade::fail, "supervisor", "has no engine: " + engine, "its socket or DOCKER_HOST is wrong, or the engine is down");
        check_door(text_at(totals, {"broker"}), text_at(totals, {"certificate"}));
        check_agents(fleet);
        ask_clock(topics, link);
    }

    static constexpr const char* k_open = "compose/anonymous.yaml";  ///< named by the word of a broker that is open

    /// Who may come in, and for how long.
    void check_door(const std::string& broker, const std::string& certificate) {
        if (broker.starts_with("degraded"))
            say(Grade::warn, "broker", broker, broker.find(k_open) != std::string::npos ? "take it out of COMPOSE_FILE, then ./tools/up" : "");
        else if (!certificate.empty() && certificate != "none")
            say(Grade::ok, "certificate", certificate);
    }

    void check_agents(const FleetView& fleet) {
        const auto unwell = fleet.unwell();
        const auto all = fleet.names().size();
        if (unwell.empty())
            return say(Grade::ok, "agents", "all " + std::to_string(all) + " are as they should be");
        std::string names;
        for (const auto& name : unwell)
            if (names.size() < 100) names += (names.empty() ? "" : ", ") + name;
        say(Grade::warn, "agents", std::to_string(unwell.size()) + " of " + std::to_string(all) + " are not: " + names,
            "sutctl ps, then sutctl describe " + unwell.front());
    }

    void ask_clock(const Topics& topics, Link& link) {
        if (const auto sent = link.publish(topics.fleet_command("clock"), ""); !sent || !*sent)
            return say(Grade::warn, "credentials", "user may not write to " + topics.fleet_command("clock"), "use the operator's password for that");
        for (const auto deadline = Clock::now() + 5s;;) {
            const auto heard = link.next(deadline);
            if (heard.kind == Heard::Kind::interrupted) interrupted_ = true;
            if (heard.kind == Heard::Kind::interrupted || heard.kind == Heard::Kind::timeout) break;
            if (heard.kind == Heard::Kind::message && heard.message.topic == topics.fleet_response("clock"))
                return compare_clock("the supervisor", text_at(parse_json(heard.message.payload), {"data"}));
        }
        say(Grade::fail, "supervisor", "says online, but gives no answer in 5 s", "look at its log, restart it: docker restart <its container>");
    }

    // This machine ----------------------------------------------------------------------------------------------
    void check_disk(const std::string& path) {
        struct statvfs disk {};
        if (::statvfs(path.c_str(), &disk) != 0) return;  // the engine's folder is on another machine, or not for us
        const auto free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
        const auto all = std::uint64_t{disk.f_blocks} * disk.f_frsize;
        const auto where = path == "." ? std::string("this folder") : path;
        const auto what = std::to_string(free / k_mib) + " MiB free of " + where;
        const std::string todo = "free some: docker system df shows images and volumes, sutctl prune <sut> removes old jobs";
        if (free < 100 * k_mib) return say(Grade::fail, "disk", what, todo);
        if (disk.f_files > 0 && disk.f_favail < 1000)
            return say(Grade::fail, "disk", std::to_string(disk.f_favail) + " files more fit into " + where, todo);
        if (free < 1024 * k_mib || free < all / 50) return say(Grade::warn, "disk", what, todo);
        say(Grade::ok, "disk", what);
    }

    void check_confs() {
        const auto folder = conf_folder();
        std::size_t confs = 0, wrong = 0, warnings = 0;
        std::string first;
        for (const auto& file : check_folder(folder)) {
            confs += file.is_conf ? 1U : 0U;
            wrong += file.errors.empty() ? 0U : 1U;
            warnings += file.warnings.size();
            if (!file.errors.empty() && first.empty()) first = to_text(file.path, file.errors.front());
        }
        const auto count = std::to_string(confs) + " confs in " + folder;
        if (wrong > 0 && confs == 0) return say(Grade::warn, "confs", first, "go to the project's folder, or set SUTFLEET_SUT_DIR");
        if (wrong > 0) return say(Grade::fail, "confs", count + ", " + std::to_string(wrong) + " of them wrong: " + first, "sutctl validate " + folder);
        if (confs == 0) return say(Grade::warn, "confs", "no conf in " + folder, "sutctl add <name> makes one");
        if (warnings > 0) return say(Grade::warn, "confs", count + ", " + std::to_string(warnings) + " warnings", "sutctl validate " + folder);
        say(Grade::ok, "confs", count);
    }

    const Options& options_;
    const Screen& screen_;
    const sys::Signals& signals_;
    bool failed_ = false;
    bool interrupted_ = false;
};

}  // namespace

int doctor(const Options& options, const Screen& screen, const sys::Signals& signals) {
    return Doctor(options, screen, signals).run();
}

}  // namespace sutfleet::ctl
