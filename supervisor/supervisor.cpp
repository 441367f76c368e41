#include "supervisor.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;
using sys::Level;

std::string now_text() { return format_rfc3339(sys::wall_now()); }

void keep_sooner(std::optional<SteadyTime>& into, std::optional<SteadyTime> other) {
    if (other) into = into ? std::min(*into, *other) : *other;
}

std::string host_name() {
    auto name = sys::read_file("/etc/hostname", 256).value_or("?");
    while (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::open(const Settings& settings) {
    auto signals = sys::Signals::open({SIGTERM, SIGINT, SIGHUP});
    if (!signals) return fail(signals.error());
    std::signal(SIGPIPE, SIG_IGN);
    if (auto made = sys::make_folders(settings.state_dir, 0700); !made) return fail(made.error());
    auto lock = sys::LockFile::take(settings.state_dir + "/lock", "the supervisor in container " + host_name());
    if (!lock) return fail(lock.error());
    auto engine = docker::open_docker(settings.docker_host);
    if (!engine) return fail(engine.error());
    auto wake = sys::Wake::open();
    if (!wake) return fail(wake.error());
    std::unique_ptr<Supervisor> supervisor(
        new Supervisor(settings, *std::move(wake), *std::move(signals), *std::move(lock), *std::move(engine)));
    auto events = docker::watch_docker_events(settings.docker_host, settings.stack, [raw = supervisor.get()] {
        raw->engine_changed_ = true;
        raw->wake_.notify();
    });
    if (!events) return fail(events.error());
    supervisor->events_ = *std::move(events);
    supervisor->connect();
    return supervisor;
}

Supervisor::Supervisor(const Settings& settings, sys::Wake wake, sys::Signals signals, sys::LockFile lock,
                       std::unique_ptr<Engine> engine)
    : settings_(settings),
      topics_(settings.topic_prefix),
      wake_(std::move(wake)),
      signals_(std::move(signals)),
      lock_(std::move(lock)),
      engine_(std::move(engine)),
      confs_(settings.conf_dir),
      registrar_(settings.state_dir, settings.auth_dir),
      sessions_(wake_),
      executor_(std::make_unique<Executor>(settings_, *engine_, wake_)) {}

void Supervisor::connect() {
    mqtt::SessionOptions options;
    options.url = settings_.broker;
    options.client_id = options.user = settings_.user;
    options.password = [path = settings_.password_file] {
        auto text = sys::read_file(path, 1024).value_or(std::string());
        while (!text.empty() && text.back() == '\n') text.pop_back();
        return text;
    };
    options.will = mqtt::Will{topics_.fleet_supervisor(), std::string(k_offline)};
    options.subscriptions = {{topics_.of_all(k_agent), 1, true},      {topics_.of_all(k_jobs), 1, true},
                             {topics_.of_all(k_submit), 1, true},     {topics_.fleet_command("+"), 1, false},
                             {topics_.of_all("cmd/resume"), 1, false},  {topics_.fleet_sut("+"), 1, true}};
    session_ = mqtt::Session::open(std::move(options), wake_);
    board_.set(topics_.fleet_supervisor(), "online");
}

int Supervisor::run() {
    sys::log(Level::info, "stack=" + settings_.stack + " supervises " + settings_.conf_dir + " on " + settings_.docker_host);
    while (!stopping_) {
        const auto now = sys::steady_now();
        while (const auto signal = signals_.take())
            if (*signal != SIGHUP) stopping_ = true;
        if (!watch_) {
            if (auto watch = sys::DirWatch::open(settings_.conf_dir)) watch_ = *std::move(watch);
        } else if (watch_->drain()) {
            watch_.reset();
        }
        const auto confs_again = confs_.scan(now);  // watch first, then list
        settle(now);
        hear(now);
        observe(now);
        std::optional<SteadyTime> until = next_look_;
        if (found_known_ && confs_.known()) {
            const auto plan = reconcile({wanted(), found_, history_, link_up_since_,
                                         std::ranges::max(fleet_sizes_, {}, &std::pair<SteadyTime, std::size_t>::second).second,
                                         removals_released_},
                                        now);
            act(plan, now);
            report(plan, now);
            keep_sooner(until, plan.wake_at);
        } else {
            report({}, now);
        }
        keep_sooner(until, confs_again);
        board_.flush(*session_, now);
        wait(until);
    }
    board_.refresh(topics_.fleet_supervisor(), std::string(k_offline));
    board_.flush(*session_, sys::steady_now());
    session_->close(2s);
    sys::log(Level::info, "stopped; the agents run on");
    return 0;
}

void Supervisor::wait(std::optional<SteadyTime> until) {
    if (stopping_) return;
    const auto limit = sys::steady_now() + 1s;
    const auto left = std::min(until.value_or(limit), limit) - sys::steady_now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    std::array<pollfd, 3> set{{{wake_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}, {watch_ ? watch_->fd() : -1, POLLIN, 0}}};
    ::poll(set.data(), set.size(), static_cast<int>(std::clamp<decltype(ms)>(ms, 0, 1000)));
    if ((set[0].revents & POLLIN) != 0) wake_.clear();
    if (engine_changed_.exchange(false)) next_look_ = {};
}

void Supervisor::observe(SteadyTime now) {
    if (now >= next_look_) look_at_engine(now);
    Registrar::Topics users;
    for (const auto& [sut, file] : confs_.files()) {
        if (!file.conf) continue;
        auto& probes = users[sut];
        for (const auto& probe : file.conf->agent.household.probes) probes.insert(topics_.of(sut, probe.name));
    }
    for (const auto& [sut, found] : found_) users[sut];
    if (auto registered = registrar_.ensure(users); !registered && registered.error().message != last_trouble_) {
        last_trouble_ = registered.error().message;
        sys::log(Level::error, "broker users: " + last_trouble_);
    }
    fleet_sizes_.emplace_back(now, found_.size());
    std::erase_if(fleet_sizes_, [&](const auto& old) { return now - old.first > 1min; });
}

void Supervisor::look_at_engine(SteadyTime now) {
    next_look_ = now + k_look_again;
    if (!engine_checked_) refuse_second();
    auto found = engine_->agents(settings_.stack);
    if (found) {
        if (!engine_trouble_.empty()) sys::log(Level::info, "the engine answers again");
        const bool was_away = !std::exchange(engine_trouble_, {}).empty();
        note_found(*found, now);
        for (const auto& [sut, one] : found_) {
            const bool ended = one.status == ContainerStatus::exited || one.status == ContainerStatus::dead;
            history_[sut].ended_with_engine = ended && (was_away || history_[sut].ended_with_engine);
        }
        return;
    }
    found_known_ = false;
    next_look_ = now + 1s;
    if (engine_trouble_ != found.error().message) sys::log(Level::error, found.error().message);
    engine_trouble_ = found.error().message;
}

/// Another supervisor of this stack, on another host or with another state volume, has no lock in common with us.
void Supervisor::refuse_second() {
    const auto others = engine_->with_role(settings_.stack, "supervisor");
    if (!others) return;
    engine_checked_ = true;
    const auto self = host_name();
    for (const auto& [id, name] : *others) {
        if (id.starts_with(self)) continue;
        sys::log(Level::error, "container " + name + " supervises the stack '" + settings_.stack + "' already");
        stopping_ = true;
    }
    const auto helpers = engine_->with_role(settings_.stack, "helper");
    if (!helpers) return;
    for (const auto& [id, name] : *helpers)
        if (auto removed = engine_->remove(id); !removed) sys::log(Level::warn, removed.error().message);
}

void Supervisor::note_found(const std::vector<FoundContainer>& found, SteadyTime now) {
    found_known_ = true;
    std::map<SutName, FoundContainer> fresh;
    for (const auto& one : found)
        if (const auto sut = SutName::parse(one.sut)) fresh.insert_or_assign(*sut, one);
    for (const auto& [sut, one] : fresh) {
        auto& history = history_[sut];
        const auto old = found_.find(sut);
        const bool running = one.status == ContainerStatus::running;
        if (!running) history.running_since.reset();
        if (running && (!history.running_since || old == found_.end() || old->second.started_at != one.started_at)) {
            history.running_since = now;
            history.probe = History::Probe::none;
        }
        if (history.delivered_hash.empty())
            history.delivered_hash = sys::read_file(settings_.state_dir + "/delivered/" + sut.str(), 64).value_or("");
    }
    found_ = std::move(fresh);
}

std::map<SutName, Wanted> Supervisor::wanted() const {
    std::map<SutName, Wanted> out;
    for (const auto& [sut, file] : confs_.files()) {
        Wanted one;
        if (!file.error.empty() || !file.conf) {
            one.kind = Wanted::Kind::broken;
        } else {
            one.kind = file.conf->enabled ? Wanted::Kind::run : Wanted::Kind::parked;
            one.config_hash = config_hash(settings_, *file.conf);
            one.delivery_hash = delivery_hash(settings_, sut, file);
            one.max_age = file.conf->agent.health.max_age;
            one.restart_on_unhealthy = file.conf->agent.health.restart_on_unhealthy;
        }
        out.insert_or_assign(sut, one);
    }
    return out;
}

void Supervisor::act(const Plan& plan, SteadyTime now) {
    for (const auto& action : plan.actions) {
        auto& history = history_[action.sut];
        history.busy = true;
        Task task{action, {}, registrar_.credential(action.sut), {}, {}, 20s, false, confs_.files().size()};
        if (const auto file = confs_.files().find(action.sut); file != confs_.files().end() && file->second.conf) {
            task.file = file->second;
            task.delivery_hash = delivery_hash(settings_, action.sut, file->second);
            task.stop_timeout = std::chrono::ceil<std::chrono::seconds>(file->second.conf->agent.timeouts.stop) + 10s;
        }
        if (const auto found = found_.find(action.sut); found != found_.end()) task.container = found->second.id;
        task.hung = history.probe == History::Probe::failed;
        if (action.verb == Verb::restart || (action.verb == Verb::start && !history.ended_with_engine)) {
            history.restarts.push_back(now);
            std::erase_if(history.restarts, [&](SteadyTime at) { return now - at > k_restart_window; });
            if (history.restarts.size() > k_quarantine_after) history.quarantined = true;
        }
        if (action.verb != Verb::probe)
            sys::log(Level::info, "sut=" + action.sut.str() + " " + std::string(to_string(action.verb)) + ": " + action.reason);
        executor_->submit(std::move(task));
    }
}

void Supervisor::settle(SteadyTime now) {
    for (const auto& outcome : executor_->take()) settle(outcome, now);
}

void Supervisor::settle(const Outcome& outcome, SteadyTime now) {
    const auto& sut = outcome.action.sut;
    auto& history = history_[sut];
    history.busy = false;
    next_look_ = {};
    if (outcome.probe) {
        const bool fine = outcome.probe->finished && outcome.probe->exit_code == 0;
        history.probe = fine ? History::Probe::fine : History::Probe::failed;
        history.probe_said = outcome.probe->finished ? outcome.probe->output : "the health probe hangs";
        history.probe_said.resize(std::min(history.probe_said.find('\n'), history.probe_said.size()));
        history.probed_at = now;
    }
    if (!outcome.delivered_hash.empty()) remember_delivered(sut, outcome.delivered_hash);
    if (!outcome.evidence.empty()) evidence_[sut] = outcome.evidence;
    if (outcome.action.verb == Verb::restart && outcome.result) {
        history.probe = History::Probe::none;
        history.last_beat.reset();
    }
    history.failures = outcome.result ? 0 : history.failures + 1;
    history.not_before = now + backoff(k_failed_actions, history.failures);
    if (outcome.action.verb == Verb::probe && outcome.result && history.probe == History::Probe::fine) return;
    const std::string error = outcome.result ? "" : outcome.result.error().message;
    const std::string verb(to_string(outcome.action.verb)), at = now_text(), result = error.empty() ? "ok" : error;
    last_actions_[sut] = {verb, outcome.action.reason, at, result};
    actions_.add(sut, {verb, outcome.action.reason, at, result});
    if (!error.empty()) sys::log(Level::error, "sut=" + sut.str() + " " + verb + " failed: " + error);
    say({at, sut.str(), verb, outcome.action.reason, error.empty() ? "ok" : "failed", error});
}

void Supervisor::remember_delivered(const SutName& sut, const std::string& hash) {
    history_[sut].delivered_hash = hash;
    const auto folder = settings_.state_dir + "/delivered";
    auto kept = sys::make_folders(folder, 0700);
    if (kept) kept = sys::write_file_atomic(folder + "/" + sut.str(), hash, 0600, sys::Durability::fast);
    if (!kept) sys::log(Level::warn, kept.error().message);  // it is delivered once more after a restart
}

Result<std::string> Supervisor::plan(const Settings& settings) {
    auto engine = docker::open_docker(settings.docker_host);
    if (!engine) return fail(engine.error());
    auto found = (*engine)->agents(settings.stack);
    if (!found) return fail(found.error());
    ConfFolder confs(settings.conf_dir);
    confs.scan(sys::steady_now());
    if (!confs.known()) return fail(ErrorKind::permanent, confs.complaints().begin()->second);
    Observation observation;
    for (const auto& one : *found)
        if (const auto sut = SutName::parse(one.sut)) observation.found.insert_or_assign(*sut, one);
    for (const auto& [sut, file] : confs.files()) {
        Wanted one;
        one.kind = file.conf ? (file.conf->enabled ? Wanted::Kind::run : Wanted::Kind::parked) : Wanted::Kind::broken;
        if (file.conf) {
            one.config_hash = config_hash(settings, *file.conf);
            one.delivery_hash = delivery_hash(settings, sut, file);
        }
        observation.history[sut].delivered_hash =
            sys::read_file(settings.state_dir + "/delivered/" + sut.str(), 64).value_or(one.delivery_hash);
        observation.wanted.insert_or_assign(sut, one);
    }
    observation.fleet_before = observation.found.size();
    auto text = to_text(reconcile(observation, sys::steady_now()));
    for (const auto& [sut, file] : confs.files())
        if (!file.error.empty()) text += "error " + sut.str() + ": " + file.error + "\n";
    for (const auto& [name, why] : confs.complaints()) text += "error " + name + ": " + why + "\n";
    return text;
}

}  // namespace sutfleet
