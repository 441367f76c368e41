#include "supervisor.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <csignal>

#include "certificate.hpp"
#include "failure.hpp"
#include "program_tree.hpp"
#include "restart_record.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;
using sys::Level;

constexpr auto k_finish_limit = 5s;  ///< of the 10 that Docker gives from TERM to KILL
constexpr auto k_timer_slack = 500ms;  ///< each agent's heartbeat has a timer: those of one moment are one turn

Wanted wanted_of(const ContextFolder& contexts, const Settings& settings, const SutName& sut, const ConfFile& file, const std::string& authority) {
    Wanted one;
    if (!file.conf || !trouble_of(contexts, settings, file).empty()) {
        one.kind = Wanted::Kind::broken;
        return one;
    }
    one.kind = file.conf->enabled ? Wanted::Kind::run : Wanted::Kind::parked;
    one.config_hash = config_hash(settings, with_image(contexts, *file.conf));
    one.delivery_hash = delivery_hash(settings, sut, file, authority);
    one.max_age = file.conf->agent.health.max_age;
    one.restart_on_unhealthy = file.conf->agent.health.restart_on_unhealthy;
    return one;
}

std::string now_text() { return format_rfc3339(sys::wall_now()); }

docker::EngineAddress engine_address(const Settings& settings) { return {settings.docker_host, settings.docker_tls_verify, settings.docker_cert_path}; }

void keep_sooner(std::optional<SteadyTime>& into, std::optional<SteadyTime> other) {
    if (other) into = into ? std::min(*into, *other) : *other;
}

}  // namespace

Result<std::unique_ptr<Supervisor>> Supervisor::open(const Settings& settings) {
    auto signals = sys::Signals::open({SIGTERM, SIGINT, SIGHUP});
    if (!signals) return fail(signals.error());
    std::signal(SIGPIPE, SIG_IGN);
    if (auto made = sys::make_folders(settings.state_dir, 0700); !made) return fail(made.error());
    auto lock = sys::LockFile::take(settings.state_dir + "/lock", "the supervisor in container " + host_name());
    if (!lock) return fail(lock.error());
    auto engine = docker::open_docker(engine_address(settings));
    if (!engine) return fail(engine.error());
    // Before we are on the broker, with its name. An engine that cannot be asked now is asked again by Lookout.
    if (const auto running = (*engine)->with_role(settings.stack, "supervisor"))
        if (auto only = refuse_a_second(*running, settings); !only) return fail(only.error());
    auto wake = sys::Wake::open();
    if (!wake) return fail(wake.error());
    std::unique_ptr<Supervisor> supervisor(
        new Supervisor(settings, *std::move(wake), *std::move(signals), *std::move(lock), *std::move(engine)));
    auto events = docker::watch_docker_events(engine_address(settings), settings.stack, [raw = supervisor.get()](const EngineChange& change) {
        {
            const std::scoped_lock guard(raw->changes_mutex_);
            raw->changes_.insert_or_assign(change.sut, change.id);
        }
        raw->wake_.notify();
    });
    if (!events) return fail(events.error());
    supervisor->events_ = *std::move(events);
    if (auto connected = supervisor->connect(); !connected) return fail(connected.error());
    supervisor->serve_metrics();
    return supervisor;
}

/// The fleet is kept whether or not somebody can watch it.
void Supervisor::serve_metrics() {
    if (settings_.metrics == "off") return;
    auto server = MetricsServer::open(settings_.metrics, [this] {
        auto pools = pools_->book().counts(sys::wall_now());
        const std::scoped_lock lock(metrics_mutex_);
        metrics_.pools = std::move(pools);
        return to_prometheus(metrics_);
    });
    if (server)
        metrics_server_ = *std::move(server);
    else
        sys::log(Level::error, server.error().message);
}

void Supervisor::measure(SteadyTime began) {
    const std::scoped_lock lock(metrics_mutex_);
    metrics_.fleet = fleet_.totals();
    metrics_.waiting = fleet_.waiting();
    metrics_.under_way = under_way_.size();
    metrics_.broker = link_up_since_.has_value();
    metrics_.broker_connects = epoch_;
    metrics_.engine = found_known_;
    ++metrics_.passes;
    metrics_.pass_seconds += std::chrono::duration<double>(sys::steady_now() - began).count();
}

Supervisor::Supervisor(const Settings& settings, sys::Wake wake, sys::Signals signals, sys::LockFile lock,
                       std::unique_ptr<Engine> engine)
    : settings_(settings),
      topics_(settings.topic_prefix),
      wake_(std::move(wake)),
      signals_(std::move(signals)),
      lock_(std::move(lock)),
      engine_(std::move(engine)),
      confs_(settings.conf_dir, &settings_.host_rules),
      contexts_(settings.context_dir),
      secrets_(settings.secrets_dir),
      registrar_(settings.state_dir, settings.auth_dir),
      fleet_(program_build(settings.agent_tree).value_or("")),
      sessions_(wake_),
      executor_(std::make_unique<Executor>(settings_, *engine_, wake_)),
      lookout_(std::make_unique<Lookout>(settings_, *engine_, wake_)),
      supply_(std::make_unique<ImageSupply>(settings_.context_dir, *engine_, wake_)),
      journals_(std::make_unique<JournalReader>(settings_, *engine_, wake_)) {}

Result<void> Supervisor::connect() {
    warn_if_open();
    if (auto done = open_console(); !done) return done;
    auto authority = read_authority(settings_);
    if (!authority) return fail(authority.error());
    agent_ca_ = *std::move(authority);
    if (!settings_.password_file.empty())
        if (auto done = registrar_.finish_own(settings_.password_file); !done) return done;
    mqtt::SessionOptions options;
    options.url = settings_.broker;
    options.ca = settings_.ca;
    options.user = settings_.user;
    options.client_id = mqtt::own_client_id(options.user);
    options.password = [path = settings_.password_file] { return sys::read_short_text(path); };
    options.will = mqtt::Will{topics_.fleet_supervisor(), std::string(k_offline)};
    // A heartbeat that is lost is followed by another: at QoS 0 it needs no acknowledgement.
    options.subscriptions = {{topics_.of_all(k_agent), 0, true},      {topics_.of_all(k_jobs), 1, true},
                             {topics_.of_all(k_submit), 1, true},     {topics_.fleet_command("+"), 1, false},
                             {topics_.of_all("cmd/resume"), 1, false},  {topics_.fleet_sut("+"), 1, true, false}};
    for (auto& one : Pools::subscriptions(topics_)) options.subscriptions.push_back(std::move(one));
    session_ = mqtt::Session::open(std::move(options), wake_,
                                   [this](const mqtt::Message& message) { return said_again_.take(message, sys::steady_now()); });
    board_.set(topics_.fleet_supervisor(), "online");
    auto pools = Pools::open(settings_.state_dir + "/queues.journal", topics_);
    if (!pools) return fail(pools.error());
    pools_ = *std::move(pools);
    return {};
}

int Supervisor::run() {
    sys::log(Level::info, "stack=" + settings_.stack + " supervises " + settings_.conf_dir + " on " + settings_.docker_host);
    while (!stopping_) {
        const auto now = sys::steady_now();
        take_signals();
        auto again = observe_confs(now);
        keep_sooner(again, observe_contexts(now));
        settle(now);
        hear(now);
        observe_engine(now);
        if (stopping_) break;  // nothing more is begun
        std::optional<SteadyTime> until;
        if (found_known_ && confs_.known()) {
            fleet_.decide(now);
            act(now);
            if (const auto due = fleet_.wake_at()) keep_sooner(until, std::max(*due, now + k_timer_slack));
        }
        look_at_authority(now);
        look_at_certificate(now);
        rotate_own(now);
        report(now);
        keep_sooner(until, again);
        if (!look_runs_) keep_sooner(until, next_look_);
        if (!looks_again_.empty()) keep_sooner(until, looks_again_.begin()->first);
        settle_gone(now);
        if (confs_.known()) pools_->tick(*session_, board_, now);
        keep_sooner(until, pools_->due());
        board_.flush(*session_, now);
        measure(now);
        wait(until);
    }
    finish_actions();
    board_.refresh(topics_.fleet_supervisor(), std::string(k_offline));
    board_.flush(*session_, sys::steady_now());
    session_->close(2s);
    sys::log(Level::info, "stopped; the agents run on");
    return 0;
}

/// What is under way is told as well, with what the next life needs to know of it.
void Supervisor::finish_actions() {
    const auto limit = sys::steady_now() + k_finish_limit;
    for (settle(sys::steady_now()); !under_way_.empty() && sys::steady_now() < limit; settle(sys::steady_now())) {
        pollfd done{wake_.fd(), POLLIN, 0};
        ::poll(&done, 1, 100);
        wake_.clear();
    }
    report(sys::steady_now());
    board_.flush(*session_, sys::steady_now());
}

void Supervisor::wait(std::optional<SteadyTime> until) {
    if (stopping_) return;
    const auto limit = sys::steady_now() + 1s;
    const auto left = std::min(until.value_or(limit), limit) - sys::steady_now();
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
    std::array<pollfd, 4> set{{{wake_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}, {watch_ ? watch_->fd() : -1, POLLIN, 0},
                               {secrets_.fd(), POLLIN, 0}}};
    ::poll(set.data(), set.size(), static_cast<int>(std::clamp<decltype(ms)>(ms, 0, 1000)));
    if ((set[0].revents & POLLIN) != 0) wake_.clear();
}

void Supervisor::take_signals() {
    while (const auto signal = signals_.take()) {
        stopping_ = stopping_ || *signal != SIGHUP;
        confs_.touch_all();
        contexts_.touch();
        fleet_.touch_all();
        authority_look_at_ = certificate_look_at_ = {};
        next_look_ = {};
    }
}

std::optional<SteadyTime> Supervisor::observe_confs(SteadyTime now) {
    const auto touch = [this](const std::string& name) { name.empty() ? confs_.touch_all() : confs_.touch(name); };
    if (!watch_) {
        if (auto watch = sys::DirWatch::open(settings_.conf_dir)) watch_ = *std::move(watch);
        confs_.touch_all();  // watch first, then list
    } else if (watch_->drain(touch)) {
        watch_.reset();
        confs_.touch_all();
    }
    auto again = confs_.look(now);
    executor_->set_fleet_size(std::max(confs_.files().size(), fleet_.totals().agents));  // at once: containers of the first are being made
    auto changed = confs_.take_changed();
    changed.merge(observe_secrets(changed, now));
    if (const auto due = secrets_.due()) keep_sooner(again, due);
    for (const auto& sut : changed) {
        want(sut);
        reconsider_image(sut);
    }
    if (!changed.empty()) register_users(changed);
    if (!unregistered_.empty() && now >= register_again_at_) {
        register_again_at_ = now + 1s;
        register_users(std::exchange(unregistered_, {}));
    }
    return again;
}

/// @return the SUTs whose secrets came, changed or went.
std::set<SutName> Supervisor::observe_secrets(const std::set<SutName>& changed, SteadyTime now) {
    for (const auto& sut : changed) {
        const auto file = confs_.files().find(sut);
        const bool runs = file != confs_.files().end() && file->second.conf && file->second.conf->enabled;
        secrets_.want(sut, runs ? file->second.conf->secrets : SecretStore::Keys{});
        confs_.set_secrets(sut, secrets_.values(sut), secrets_.trouble(sut));
    }
    auto read = secrets_.look(now);
    for (const auto& sut : read) {
        confs_.set_secrets(sut, secrets_.values(sut), secrets_.trouble(sut));
        fleet_.touch(sut);  // there may be another reason to tell
    }
    return read;
}

void Supervisor::register_users(const std::set<SutName>& changed) {
    Registrar::Topics users;
    for (const auto& sut : changed) {
        const auto file = confs_.files().find(sut);
        const bool known = file != confs_.files().end() && file->second.conf;
        if (!known && fleet_.found(sut) == nullptr) continue;
        auto& probes = users[sut];
        if (known)
            for (const auto& probe : file->second.conf->agent.household.probes) probes.insert(topics_.of(sut, probe.name));
    }
    const auto registered = registrar_.ensure(users);
    const auto trouble = registered ? std::string() : registered.error().message;
    if (!trouble.empty() && trouble != last_trouble_) sys::log(Level::error, "broker users: " + trouble);
    last_trouble_ = trouble;
    // Nothing else would bring these back.
    if (!registered) unregistered_.insert(changed.begin(), changed.end());
}

/// What its files ask for now. @param also_changed what they do not tell themselves
void Supervisor::want(const SutName& sut, const std::string& also_changed) {
    const auto file = confs_.files().find(sut);
    if (file == confs_.files().end()) return fleet_.want(sut, std::nullopt);
    auto one = wanted_of(contexts_, settings_, sut, file->second, agent_ca_);
    auto changed = confs_.take_what_changed(sut);
    if (!also_changed.empty()) changed.insert(also_changed);
    const auto* found = fleet_.found(sut);
    const auto& known = fleet_.history(sut);
    const bool as_it_is = !known.busy && (found == nullptr || (found->config_hash == one.config_hash && known.delivered_hash == one.delivery_hash));
    if (as_it_is && !known.changed.empty()) fleet_.know(sut).changed.clear();
    if (!as_it_is && !changed.empty()) fleet_.know(sut).changed.merge(changed);
    fleet_.want(sut, std::move(one));
}

void Supervisor::act(SteadyTime now) {
    const auto retries = static_cast<std::size_t>(std::ranges::count_if(under_way_, [](const auto& one) { return one.second.retry; }));
    const auto left = [](std::size_t limit, std::size_t used) { return limit - std::min(limit, used); };
    for (const auto& action : fleet_.take(left(k_workers, under_way_.size()), left(k_retry_workers, retries)))
        begin(action, now);
}

void Supervisor::begin(const Action& action, SteadyTime now) {
    auto& history = fleet_.know(action.sut);
    history.busy = true;
    auto& under_way = under_way_[action.sut];
    under_way.retry = history.failures > 0;
    if (action.verb != Verb::probe && action.verb != Verb::start && action.verb != Verb::restart)
        under_way.changed = std::exchange(history.changed, {});
    Task task{.action = action, .access = {registrar_.newest(action.sut), agent_ca_}};
    if (const auto file = confs_.files().find(action.sut); file != confs_.files().end() && file->second.conf) {
        task.file = file->second;
        if (context_trouble(contexts_, settings_, *task.file.conf).empty())
            task.file.conf = with_image(contexts_, *std::move(task.file.conf));
        else
            task.file.conf.reset();  // nothing can be made of it now
        task.delivery_hash = delivery_hash(settings_, action.sut, file->second, agent_ca_);
        task.stop_timeout = std::chrono::ceil<std::chrono::seconds>(file->second.conf->agent.timeouts.stop) + 10s;
    }
    const auto* found = fleet_.found(action.sut);
    if (found != nullptr) task.container = found->id, task.programs = found->programs;
    if (action.verb != Verb::probe && action.verb != Verb::deliver) under_way.asked = std::exchange(history.asked, {});
    task.hung = history.probe == History::Probe::failed;
    task.retry = history.failures > 0;
    const auto* wanted = fleet_.wanted(action.sut);
    const bool again = action.verb == Verb::recreate && found != nullptr && wanted != nullptr && found->config_hash == wanted->config_hash;
    if (action.verb == Verb::restart || again || (action.verb == Verb::start && !history.ended_unseen)) {
        history.restarts.push_back(now);
        task.evidence = true;
        count([](Metrics& metrics) { ++metrics.restarts; });
        std::erase_if(history.restarts, [&](SteadyTime at) { return now - at > k_restart_window; });
        if (history.restarts.size() >= k_quarantine_after) history.quarantined = true;
        remember_restarts(action.sut, now);
    }
    if (action.verb != Verb::probe)
        sys::log(Level::info, "sut=" + action.sut.str() + " " + std::string(to_string(action.verb)) + ": " + action.reason);
    executor_->submit(std::move(task));
}

void Supervisor::settle(SteadyTime now) {
    for (const auto& outcome : executor_->take()) settle(outcome, now);
}

void Supervisor::settle(const Outcome& outcome, SteadyTime now) {
    const auto& sut = outcome.action.sut;
    auto& history = fleet_.know(sut);
    if (auto done = under_way_.extract(sut); done && (!outcome.result || outcome.image_missing)) {
        history.changed.merge(done.mapped().changed);
        if (outcome.image_missing) history.asked = done.mapped().asked;
    }
    if (outcome.image_missing) return await_image(sut);
    // A probe changes nothing. Anything else is over once it was looked at what it left.
    if (outcome.action.verb == Verb::probe && outcome.result)
        history.busy = false;
    else if (outcome.action.verb != Verb::purge || !outcome.result || !clear_purged(sut, now))
        settle_by_look(sut);
    // It was agreed to: what the engine failed to do is tried again.
    if (outcome.action.verb == Verb::purge && !outcome.result && outcome.result.error().kind == ErrorKind::transient)
        history.asked = {Asked::What::purge, true};
    if (outcome.probe) {
        const bool fine = outcome.probe->finished && outcome.probe->exit_code == 0;
        history.probe = fine ? History::Probe::fine : History::Probe::failed;
        history.probe_said = outcome.probe->finished ? outcome.probe->output : "the health probe hangs";
        history.probe_said.resize(std::min(history.probe_said.find('\n'), history.probe_said.size()));
        history.probed_at = now;
    }
    auto result = outcome.result;
    if (!outcome.delivered_hash.empty()) {
        remember_delivered(sut, outcome.delivered_hash);
        if (auto settled = settle_credential(sut, outcome.credential); !settled) result = std::move(settled);
    }
    if (outcome.result && (outcome.action.verb == Verb::retire || outcome.action.verb == Verb::purge)) {
        forget_restarts(sut, now);
    }
    if (!outcome.evidence.empty()) evidence_[sut] = outcome.evidence;
    if (outcome.action.verb == Verb::restart && outcome.result) {
        history.probe = History::Probe::none;
        history.last_beat.reset();
    }
    if (outcome.action.verb != Verb::probe && outcome.action.verb != Verb::deliver && outcome.result)
        history.ended_unseen = false;  // what ends from now on ends by itself
    count([&](Metrics& metrics) {
        auto& kind = metrics.actions[std::string(to_string(outcome.action.verb))];
        ++(result ? kind.done : kind.failed);
    });
    history.failures = result ? 0 : history.failures + 1;
    history.not_before =
        result ? SteadyTime{} : now + with_half_jitter(backoff(retry_policy(result.error()), history.failures), random01());
    const std::string error = result ? "" : plainly(result.error());
    history.failure = error.empty() ? "" : std::string(to_string(outcome.action.verb)) + " failed: " + error;
    if (outcome.action.verb == Verb::probe && outcome.result && history.probe == History::Probe::fine) return;
    const std::string verb(to_string(outcome.action.verb)), at = now_text(), ended = error.empty() ? "ok" : error;
    last_actions_[sut] = {verb, outcome.action.reason, at, ended};
    actions_.add(sut, {verb, outcome.action.reason, at, ended});
    if (link_up_since_ && now - *link_up_since_ >= k_agents_are_back) actions_.remember(sut, {});  // what an earlier life said would have come
    if (!error.empty()) sys::log(Level::error, "sut=" + sut.str() + " " + verb + " failed: " + error);
    say({at, sut.str(), verb, outcome.action.reason, error.empty() ? "ok" : "failed", error, ""});
}

void Supervisor::remember_delivered(const SutName& sut, const std::string& hash) {
    fleet_.know(sut).delivered_hash = hash;
    keep("delivered", sut, hash);  // if not, it is delivered once more after a restart
}

/// For the next life, as far as it can be kept.
void Supervisor::keep(const std::string& what, const SutName& sut, const std::string& text) {
    const auto folder = settings_.state_dir + "/" + what;
    auto kept = sys::make_folders(folder, 0700);
    if (kept) kept = sys::write_file_atomic(folder + "/" + sut.str(), text, 0600, sys::Durability::fast);
    if (!kept) sys::log(Level::warn, kept.error().message);
}

std::string Supervisor::kept(const std::string& what, const SutName& sut) const {
    return sys::read_file(settings_.state_dir + "/" + what + "/" + sut.str(), 4096).value_or("");
}

void Supervisor::recall(const SutName& sut, SteadyTime now) {
    auto& history = fleet_.know(sut);
    history.delivered_hash = kept("delivered", sut);
    if (history.restarts.empty()) decode_restarts(kept("restarts", sut), history, {now, sys::wall_now()});
}

void Supervisor::remember_restarts(const SutName& sut, SteadyTime now) {
    keep("restarts", sut, encode_restarts(fleet_.history(sut), {now, sys::wall_now()}));
}

void Supervisor::forget_restarts(const SutName& sut, SteadyTime now) {
    auto& history = fleet_.know(sut);
    if (history.restarts.empty() && !history.quarantined) return;
    history.restarts.clear();
    history.quarantined = false;
    remember_restarts(sut, now);
}

namespace {

/// Before anything is made: whether the image of a conf's context is there, and how it would be brought.
std::optional<ImageWait> missing_image(Engine& engine, const ContextFolder& contexts, const SutConf& conf) {
    const auto file = contexts.find(conf.container.context);
    if (conf.container.context.empty() || !file.context) return std::nullopt;
    const auto user = engine.image_user(file.context->image);
    if (user || user.error().kind != ErrorKind::not_found) return std::nullopt;
    const auto ways = ways_of({conf.container.context, *file.context});
    return ImageWait{"image " + file.context->image + " is not on this engine: " + (ways.empty() ? "its context has no way to it" : ways), std::nullopt};
}

}  // namespace

Result<std::string> Supervisor::plan(const Settings& settings) {
    auto engine = docker::open_docker(engine_address(settings));
    if (!engine) return fail(engine.error());
    auto found = (*engine)->agents(settings.stack);
    if (!found) return fail(found.error());
    const auto authority = read_authority(settings);
    if (!authority) return fail(authority.error());
    ConfFolder confs(settings.conf_dir, &settings.host_rules);
    confs.scan(sys::steady_now());
    if (!confs.known()) return fail(ErrorKind::permanent, confs.complaints().begin()->second);
    ContextFolder contexts(settings.context_dir);
    contexts.look(sys::steady_now());
    Observation observation;
    for (const auto& summary : *found) {
        const auto sut = SutName::parse(summary.sut);
        if (!sut) continue;
        auto one = (*engine)->inspect(summary.id);
        if (!one && one.error().kind != ErrorKind::not_found) return fail(one.error());
        if (one) observation.found.insert_or_assign(*sut, *std::move(one));
    }
    for (const auto& [sut, conf_file] : confs.files()) {
        if (!conf_file.conf || !conf_file.conf->enabled) continue;
        const auto values = SecretStore::read(settings.secrets_dir, sut, conf_file.conf->secrets);
        confs.set_secrets(sut, values.value_or(SecretValues{}), values ? std::string() : values.error().message);
    }
    for (const auto& [sut, file] : confs.files()) {
        auto one = wanted_of(contexts, settings, sut, file, *authority);
        if (one.kind != Wanted::Kind::broken) observation.history[sut].image = missing_image(**engine, contexts, *file.conf);
        observation.history[sut].delivered_hash =
            sys::read_file(settings.state_dir + "/delivered/" + sut.str(), 64).value_or(one.delivery_hash);
        observation.wanted.insert_or_assign(sut, std::move(one));
    }
    observation.fleet_before = observation.found.size();
    observation.programs = program_build(settings.agent_tree).value_or("");
    const auto plan = reconcile(observation, sys::steady_now());
    auto text = to_text(plan);
    if (const auto info = (*engine)->ping()) text += interval_line(plan, observation.wanted.size(), info->cpus);
    return text + errors_in(confs, contexts, settings);
}

}  // namespace sutfleet
