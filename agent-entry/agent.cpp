#include "agent.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <random>

#include "core/agent_files.hpp"
#include "mqtt/submitter.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/memory.hpp"
#include "sys/process_table.hpp"

namespace sutfleet::agent {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t k_conf_limit = 1024 * 1024;
constexpr auto k_session_life = std::chrono::hours{24 * 7};
constexpr int k_reaped_at_once = 1000;
/// By a look, not by inotify: a user has 128 instances of that (fs.inotify.max_user_instances), and many agents run as one user.
constexpr auto k_conf_look = 1s;
constexpr auto k_last_output = 2s;
constexpr std::size_t k_far_behind = 1024 * 1024;  ///< bytes of output that are heard of when they cannot be sent anyway

std::string current_file(const Folders& folders, std::string_view name) {
    return folders.conf + "/" + std::string(agent_files::k_current) + "/" + std::string(name);
}

Result<AgentConf> read_conf(const Folders& folders) {
    auto text = sys::read_file(current_file(folders, agent_files::k_agent_conf), k_conf_limit);
    if (!text) return fail(text.error());
    return decode_agent_conf(*text);
}

/// So often that the heartbeat, which is as old as the last turn, stays far from max_age.
std::chrono::milliseconds longest_turn(const HealthRules& rules) { return std::min<std::chrono::milliseconds>(1s, rules.max_age / 4); }

std::string random_hex() {
    std::random_device random;
    std::array<char, 9> text{};
    std::snprintf(text.data(), text.size(), "%08x", random());
    return text.data();
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::open(Folders folders) {
    auto signals = sys::Signals::open({SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD});
    if (!signals) return fail(signals.error());
    std::signal(SIGPIPE, SIG_IGN);
    if (auto reaper = sys::become_subreaper(); !reaper) return fail(reaper.error());
    auto conf = read_conf(folders);
    if (!conf) return fail(conf.error());
    auto book = JobBook::open(folders.state, conf->sut, sys::wall_now(), conf->rules.jobs.keep);
    if (!book) return fail(book.error());
    [[maybe_unused]] const auto made = sys::make_folders(folders.state + "/log", 0755);  // what is wrong shows next
    const auto& rotation = conf->rules.log;
    auto log = LogFile::open(folders.state + "/log/agent.log", rotation.max_bytes, rotation.keep);
    if (!log) log = LogFile::open_later(folders.state + "/log/agent.log", rotation.max_bytes, rotation.keep, log.error());
    auto wake = sys::Wake::open();
    if (!wake) return fail(wake.error());
    std::unique_ptr<Agent> agent(new Agent(std::move(folders),
                                           {*std::move(conf), *std::move(signals), *std::move(book), *std::move(log)},
                                           *std::move(wake)));
    if (auto connected = agent->connect(); !connected) return fail(connected.error());
    return agent;
}

Agent::Agent(Folders folders, Deps deps, sys::Wake wake)
    : folders_(std::move(folders)),
      conf_(std::move(deps.conf)),
      topics_(conf_.topic_prefix),
      boot_(random_hex()),
      wake_(std::move(wake)),
      signals_(std::move(deps.signals)),
      book_(std::move(deps.book)),
      log_(std::move(deps.log)),
      feed_(log_),
      output_watch_(log_, wake_),
      lifecycle_(conf_.rules.command.has_value(), conf_.rules.restart, sys::steady_now()),
      cleanups_(book_->unclean()),
      gate_(folders_.state),
      since_(format_rfc3339(sys::wall_now())),
      broker_lost_(sys::steady_now()) {}

Result<void> Agent::connect() {
    book_->refuse_all(gate_.refusal());
    book_->set_policy(conf_.rules.submit);
    auto pump = Pump::open(wake_, STDOUT_FILENO, folders_.secrets);
    if (!pump) return fail(pump.error());
    pump_ = *std::move(pump);
    household_ = std::make_unique<Household>(conf_, folders_.state + "/household", hands(), sys::steady_now());
    pump_->note(log_, "");  // trouble with it is known from the start
    heartbeat_ = std::make_unique<HeartbeatWriter>(
        folders_.run + "/" + std::string(agent_files::k_heartbeat), [raw = pump_.get()] { return raw->last_tick_ns(); },
        conf_.rules.health);
    set_health_rules();
    std::set<JobId> live;
    for (const auto& jobs : {cleanups_, book_->queued()})
        for (const auto& record : jobs) live.insert(record.id);
    job_folders_ = std::make_unique<JobFolders>(book_->folder(), conf_.rules.jobs, std::move(live), wake_);
    mqtt::SessionOptions options;
    options.url = conf_.broker;
    options.ca = current_file(folders_, agent_files::k_authority);
    options.user = conf_.sut.str();
    options.client_id = mqtt::own_client_id(options.user);
    options.password = [path = current_file(folders_, agent_files::k_credential)] {
        return sys::read_file(path, 1024).value_or(std::string());
    };
    options.will = mqtt::Will{topics_.of(conf_.sut, k_agent), std::string(k_offline)};
    options.session_expiry = k_session_life;
    options.clean_start = false;
    options.subscriptions = {{topics_.of(conf_.sut, k_submit), 1, false}, {topics_.commands(conf_.sut), 1, false}};
    book_->tell_of_coming([this] { wake_.notify(); });
    session_ = mqtt::Session::open(
        std::move(options), wake_,
        [book = book_.get(), topic = topics_.of(conf_.sut, k_submit), wake = &wake_](const mqtt::Message& message) {
            if (message.topic != topic) return false;
            if (!message.payload.empty())
                book->accept(message.payload, message.retain, sys::wall_now(), {message.response_topic, message.correlation_data},
                             {message.dup, message.packet_id, message.origin.number, message.origin.since, message.origin.lost_before,
                              mqtt::submitter_of(message.user_properties)});
            wake->notify();
            return true;
        });
    // An earlier life may have ended before it could say so, or take away what is shown no more.
    for (const auto& id : book_->hidden()) shown_jobs_[topics_.job(conf_.sut, id.str())] = 0;
    for (const auto& record : book_->done()) shown_jobs_[topics_.job(conf_.sut, record.id.str())] = 0;
    if (const auto last = book_->last_started()) board_.set(topics_.of(conf_.sut, k_last_job), last->id.str());
    return {};
}

int Agent::run() {
    sys::release_start_pages();
    sys::log(sys::Level::info, "sut=" + conf_.sut.str() + " boot=" + boot_ + " started");
    // In a container they died with the agent's earlier life.
    for (const auto& lost : cleanups_) sys::kill_all_with(marker_of(lost), sys::Marked::too);
    sys::crash_point("start: nothing runs");
    while (!stopped()) {
        turn(sys::steady_now());
        if (!stopped()) wait();
    }
    return close();
}

void Agent::wait() {
    auto until = sys::steady_now() + longest_turn(conf_.rules.health);
    const auto sooner = [&](std::optional<SteadyTime> due) {
        if (due) until = std::min(until, *due);
    };
    sooner(lifecycle_.due());
    sooner(feed_due_);
    sooner(command_kill_at_);
    if (session_->connected()) sooner(next_beat_);
    if (!rejection_.empty()) sooner(rejection_until_);
    if (positions_stale_) sooner(positions_due_);
    sooner(shown_again_until_);
    if (current_) sooner(current_->run.due());
    sooner(household_->due(current_.has_value()));
    // Output after quiet wakes us at once; while it flows, what has gathered is looked at.
    const bool quiet = sys::steady_now() >= output_at_ + k_gather;
    pump_->listen(quiet ? 1 : flooded_ ? k_far_behind : k_batch);
    if (!quiet) sooner(output_at_ + k_gather);
    if (quiet && written() != written_) until = {};  // it came before we listened
    const auto left = std::clamp<std::chrono::nanoseconds>(until - sys::steady_now(), 0s, 60s);
    const timespec longest{std::chrono::floor<std::chrono::seconds>(left).count(), (left % 1s).count()};
    std::array<pollfd, 2> set{{{wake_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
    ::ppoll(set.data(), set.size(), &longest, nullptr);
    wake_.clear();
}

std::uint64_t Agent::written() const { return log_->end() + (current_ ? current_->log->end() : 0); }

void Agent::look_for_output(SteadyTime now) {
    const auto written_now = written();
    if (written_now == written_) return;
    written_ = written_now;
    output_at_ = now;
}

void Agent::turn(SteadyTime now) {
    heartbeat_->main_ticked();
    look_for_output(now);
    hear_signals(now);
    feed_output(now);  // before anything that takes time: a line that was written is to be seen
    make_coming_place();
    reap();
    settle_children(now);
    if (now >= next_conf_look_) look_for_conf(now);
    hear_broker(now);
    if (command_kill_at_ && now >= *command_kill_at_ && command_) {
        sys::signal_group(command_->pid, SIGKILL);
        command_kill_at_.reset();
    }
    if (current_) apply(current_->run.tick(now), now);
    if (current_ && current_->finish)
        if (auto listed = job_folders_->take_listed()) {
            current_->record.artifacts = *std::move(listed);
            complete_job(*current_->finish);
        }
    household_->tick(current_.has_value(), now);
    run_command(now);
    next_job(now);
    settle_journal();
    report_health(now);
    feed_output(now);
    publish_state(now);
    board_.flush(*session_, now);
}

void Agent::hear_signals(SteadyTime now) {
    while (const auto signal = signals_.take()) {
        if (*signal == SIGCHLD) continue;
        if (*signal == SIGHUP) {
            sys::log(sys::Level::info, "HUP: sent on to the subprocess");
            if (command_ && !command_->code) sys::signal_group(command_->pid, SIGHUP);
            continue;
        }
        sys::log(sys::Level::info, "stop signal " + std::to_string(*signal));
        begin_stop(now);
    }
}

void Agent::reap() {
    for (int i = 0; i < k_reaped_at_once; ++i) {
        const auto ended = sys::reap_one();
        if (!ended) return;
        ended_[ended->pid] = ended->exit_code;
    }
    wake_.notify();  // a fork bomb must not keep us here
}

void Agent::settle_children(SteadyTime now) {
    const auto note_end = [&](Running& child) {
        const auto found = ended_.find(child.pid);
        if (child.code || found == ended_.end()) return;
        child.code = found->second;
        sys::signal_group(child.pid, SIGKILL);  // what it left behind in its group
        pump_->finish(child.source);
    };
    if (command_) note_end(*command_);
    if (current_ && current_->child) note_end(*current_->child);
    const auto drained = pump_->take_ended();
    household_->settle(ended_, drained, now);
    ended_.clear();  // all others were orphans
    for (const auto source : drained) {
        // A source may end before its process does: a child that closes its output early.
        if (command_ && command_->source == source) command_->source = 0;
        if (current_ && current_->child && current_->child->source == source) current_->child->source = 0;
    }
    if (command_ && command_->code && command_->source == 0) command_ended(now);
    if (current_ && current_->child && current_->child->code && current_->child->source == 0) {
        const int code = *current_->child->code;
        current_->child.reset();
        phase_ended(code, now);
    }
}

void Agent::look_for_conf(SteadyTime now) {
    next_conf_look_ = now + k_conf_look;
    auto seen = sys::file_stamp(current_file(folders_, agent_files::k_agent_conf));  // first, then read
    if (seen == conf_seen_) return;
    auto conf = read_conf(folders_);
    if (!conf) return;  // half-written: the next look finds it whole
    conf_seen_ = std::move(seen);
    if (*conf == conf_ || conf->sut != conf_.sut) return;
    if (conf->broker != conf_.broker) session_->move_to(conf->broker);
    const auto& old = conf_.rules;
    const auto& fresh = conf->rules;
    const bool command_changed =
        old.command != fresh.command || old.restart != fresh.restart || old.env != fresh.env;
    conf_ = *std::move(conf);
    set_health_rules();
    book_->set_policy(conf_.rules.submit);
    book_->set_folders_kept(conf_.rules.jobs.keep);
    job_folders_->set_rules(conf_.rules.jobs);
    log_->set_limits(conf_.rules.log.max_bytes, conf_.rules.log.keep);
    sys::log(sys::Level::info, "the conf was reloaded");
    household_->set_conf(conf_, now);
    if (command_changed && !stopping_) restart_command(now);
}

void Agent::begin_stop(SteadyTime now) {
    if (stopping_) return;
    stopping_ = true;
    household_->stop(now);
    lifecycle_.stop();
    command_restarts_ = false;
    if (command_ && !command_->code) {
        end_group(command_->pid);
        command_kill_at_ = now + conf_.rules.timeouts.stop;
    }
    if (current_) current_->finish ? complete_job(*current_->finish) : apply(current_->run.abandon(now), now);
}

bool Agent::stopped() const { return stopping_ && !command_ && !current_ && household_->empty(); }

/// Also one that is stopped: it ends by KILL only, unless it is woken.
void Agent::end_group(pid_t group) {
    sys::signal_group(group, SIGTERM);
    sys::signal_group(group, SIGCONT);
}

void Agent::set_health_rules() {
    heartbeat_->set_rules(conf_.rules.health);
    pump_->set_turn(longest_turn(conf_.rules.health));
    output_watch_.set_rules(conf_.rules.health);
}

void Agent::report_health(SteadyTime now) {
    output_watch_.look();
    silence_.look(static_cast<std::int64_t>(log_->end()), now);
    pump_stands_.look(pump_->last_tick_ns(), now);
    const auto trouble = pump_->trouble();
    if (gate_.set_no_room(trouble.starts_with(k_no_room) ? trouble : std::string())) book_->refuse_all(gate_.refusal());
    auto fresh = verdict(now);
    heartbeat_->set_verdict(fresh);
    if (fresh == last_verdict_) return;
    last_verdict_ = std::move(fresh);
    next_beat_ = now;  // who watches `agent` need not wait for it
}

int Agent::close() {
    send_last_output(k_last_output);
    sys::crash_point("stop: not said");
    board_.refresh(topics_.of(conf_.sut, k_submit_status), std::string(k_offline));
    publish_state(sys::steady_now());
    board_.refresh(topics_.of(conf_.sut, k_agent), std::string(k_offline));
    board_.flush(*session_, sys::steady_now());
    session_->close(2s);
    sys::crash_point("stop: said");
    if (const auto granted = book_->take_granted()) put_back(*granted);  // it came after the last turn
    sys::log(sys::Level::info, "sut=" + conf_.sut.str() + " stopped");
    return command_code_.value_or(0);
}

}  // namespace sutfleet::agent
