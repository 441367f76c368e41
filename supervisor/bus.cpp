// The supervisor's side of the bus: what it hears of the agents, what it is told, what it reports.

#include <algorithm>

#include "conf/sut_conf_origins.hpp"
#include "supervisor.hpp"
#include "sys/clock.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

using namespace std::chrono_literals;

constexpr auto k_clearing = 2s;  ///< how long the retained topics of a removed SUT are looked for

/// `<sut>/state` of an agent that cannot say it itself.
std::string state_of_the_dead(std::string_view state, std::string_view why) {
    return std::string(R"({"state":")").append(state) + R"(","boot":null,"since":")" + format_rfc3339(sys::wall_now()) + R"(","why":")" + std::string(why) + "\"}";
}

/// The first lines and how many more there are: a person reads no more, and a report has to stay one that is shown whole.
template <typename Lines, typename Say>
std::vector<std::string> first_of(const Lines& lines, Say say) {
    constexpr std::size_t k_shown = 50;
    std::vector<std::string> out;
    for (auto at = lines.begin(); at != lines.end() && out.size() < k_shown; ++at) out.push_back(say(*at));
    if (lines.size() > k_shown) out.push_back("and " + std::to_string(lines.size() - k_shown) + " more");
    return out;
}

}  // namespace

void Supervisor::publish(std::string topic, std::string payload, bool retain) {
    mqtt::Publication publication;
    publication.topic = std::move(topic);
    publication.payload = std::move(payload);
    publication.retain = retain;
    if (const auto sent = session_->publish(publication); !sent) sys::log(sys::Level::debug, sent.error().message);
}

void Supervisor::say(const Event& event) { publish(topics_.fleet_events(), encode(event), false); }

void Supervisor::hear(SteadyTime now) {
    const auto beats = said_again_.beats();  // before what is new: a last word may be among that
    auto drained = session_->drain();
    if (drained.dropped > 0) said_again_.forget_all();
    if (!session_->connected()) {
        link_up_since_.reset();
    } else if (session_->epoch() != epoch_) {
        epoch_ = session_->epoch();
        link_up_since_ = now;
        sys::log(sys::Level::info, "connected to the broker");
        restore_users();  // before anything else
    }
    fleet_.link(link_up_since_);
    for (const auto& [sut, beat] : beats)
        if (!clearing_.contains(sut)) fleet_.beat(sut, beat.says, beat.at);
    for (const auto& message : drained.messages) hear(message, now);
    clear_retired(now);
}

void Supervisor::hear(const mqtt::Message& message, SteadyTime now) {
    if (const auto rest = topics_.parse_fleet(message.topic)) return hear_fleet(*rest, message, now);
    if (const auto topic = topics_.parse(message.topic)) hear_agent(topic->sut, topic->rest, message, now);
}

void Supervisor::hear_agent(const SutName& sut, std::string_view level, const mqtt::Message& message, SteadyTime now) {
    if (clearing_.contains(sut)) {
        if (message.retain && !message.payload.empty()) publish(message.topic, "", true);
        return;
    }
    if (message.payload.empty()) return;
    pools_->hear(sut, level, message.payload, now);
    if (level == k_agent) {
        fleet_.beat(sut, message.payload, now);
        if (message.payload == k_offline) {
            look_at(sut);
            correct_the_dead(sut);
        }
    } else if (level == k_jobs) {
        hear_jobs(sut, message.payload);
    } else if (level == k_submit && message.retain) {
        publish(message.topic, "", true);  // a retained submit would be offered again to every new subscriber
    } else if (level == "cmd/resume") {
        release(sut);
    }
}

void Supervisor::hear_jobs(const SutName& sut, const std::string& payload) {
    const auto running = job_runs(payload);
    const auto queued = jobs_queued(payload);
    const auto& known = fleet_.history(sut);
    if (known.jobs_heard && known.job_runs == running && known.jobs_queued == queued) return;
    auto& history = fleet_.know(sut);
    history.jobs_heard = true;
    history.job_runs = running;
    history.jobs_queued = queued;
    count([&](Metrics& metrics) { metrics.queues[sut.str()] = queued; });
}

void Supervisor::release(const SutName& sut) {
    auto& history = fleet_.know(sut);
    history.failures = 0;
    history.failure.clear();
    history.not_before = {};
    forget_restarts(sut, sys::steady_now());
    const auto file = confs_.files().find(sut);
    if (!history.image || file == confs_.files().end() || !file->second.conf) return;
    const auto& name = file->second.conf->container.context;
    if (const auto context = contexts_.find(name).context; context && !images_.is_begun(name)) images_.retry(name, context->image);
}

/// An agent that is gone cannot say so itself, except by its will on `<sut>/agent`.
void Supervisor::correct_the_dead(const SutName& sut) {
    say_offline(sut);
    stand_in_for(sut);
}

void Supervisor::say_offline(const SutName& sut) {
    board_.refresh(topics_.of(sut, k_submit_status), std::string(k_offline));
    board_.refresh(topics_.of(sut, k_state), state_of_the_dead(k_offline, "the container does not run"));
    board_.flush(*session_, sys::steady_now());
    // Said once: from now on these topics are the agent's own again.
    board_.forget(topics_.of(sut, k_submit_status));
    board_.forget(topics_.of(sut, k_state));
}

/// As long as a SUT is kept down, we say so in its agent's place.
void Supervisor::stand_in_for(const SutName& sut) {
    const auto state = topics_.of(sut, k_state), status = topics_.of(sut, k_submit_status);
    const auto* wanted = fleet_.wanted(sut);
    const auto* found = fleet_.found(sut);
    const auto& history = fleet_.history(sut);
    const auto says = [&](std::string_view word, std::string_view why) {
        if (!board_.get(state).starts_with(R"({"state":")" + std::string(word))) board_.refresh(state, state_of_the_dead(word, why));
    };
    if (!looked_at_all_) return;
    if (wanted != nullptr && wanted->kind == Wanted::Kind::parked && found == nullptr) {
        says("parked", "enabled: false");
        return board_.set(status, "rejected: parked");
    }
    if (history.quarantined && !history.busy && found != nullptr && found->status == ContainerStatus::exited)
        return says("quarantined", "release by resume");
    if (board_.get(state).empty()) return;
    // No more. Until its agent speaks again, it is only not there.
    if (found == nullptr || found->status != ContainerStatus::running) return say_offline(sut);
    board_.forget(status);
    board_.forget(state);
}

/// What of a SUT matters to the queues; nothing of one that has no conf.
std::optional<PoolSut> Supervisor::as_pool_sut(const SutName& sut) const {
    const auto file = confs_.files().find(sut);
    if (file == confs_.files().end() || !file->second.conf) return std::nullopt;
    const auto& conf = *file->second.conf;
    PoolSut out{{conf.agent.queues.begin(), conf.agent.queues.end()}};
    if (fleet_.history(sut).quarantined) out.why = "is quarantined";
    if (!conf.enabled) out.why = "is parked";
    return out;
}

/// Of all that is retained of it each is heard, and cleared. @return false when there is no broker
bool Supervisor::begin_clearing(const SutName& sut, SteadyTime now) {
    said_again_.forget(sut);
    if (!session_->connected() || !session_->subscribe({topics_.everything_of(sut), 1, true})) return false;
    clearing_.insert_or_assign(sut, now + k_clearing);
    return true;
}

/// The agent that comes back shall find nothing of the one before: it is made once its topics are cleared.
/// @return false when there is no broker to clear them
bool Supervisor::clear_purged(const SutName& sut, SteadyTime now) {
    auto& history = fleet_.know(sut);
    history.job_runs = false;
    history.jobs_queued = 0;
    history.delivered_hash.clear();
    if (!begin_clearing(sut, now)) return false;
    purged_.insert(sut);
    board_.forget(topics_.of(sut, k_submit_status));
    board_.forget(topics_.of(sut, k_state));
    return true;
}

/// Retained topics of SUTs that are neither wanted nor there: looked for, cleared, and their session ended.
void Supervisor::clear_retired(SteadyTime now) {
    if (!session_->connected())  // what is left of a purged SUT's topics is its new agent's to replace
        for (const auto& sut : std::exchange(purged_, {})) clearing_.erase(sut), settle_by_look(sut);
    if (!session_->connected() || !found_known_ || !confs_.known()) return;
    for (const auto& sut : fleet_.strays()) {
        if (clearing_.contains(sut) || fleet_.history(sut).busy || fleet_.history(sut).asked.what != Asked::What::nothing) continue;
        if (!begin_clearing(sut, now)) continue;
        board_.clear(topics_.fleet_sut(sut.str()));
        board_.forget(topics_.of(sut, k_submit_status));
        board_.forget(topics_.of(sut, k_state));
        if (registrar_.credential(sut).empty()) continue;
        mqtt::SessionOptions as_agent;
        as_agent.url = settings_.broker;
        as_agent.user = sut.str();
        as_agent.client_id = mqtt::own_client_id(as_agent.user);
        as_agent.password = [secret = registrar_.credential(sut)] { return secret; };
        sessions_.end(sut, std::move(as_agent));
    }
    for (const auto& sut : sessions_.take_tried())
        if (!confs_.files().contains(sut))
            if (auto forgotten = registrar_.forget(sut); !forgotten) sys::log(sys::Level::warn, forgotten.error().message);
    for (auto at = clearing_.begin(); at != clearing_.end();) {
        if (now < at->second) {
            ++at;
            continue;
        }
        const auto sut = at->first;
        at = clearing_.erase(at);
        if (const auto gone = session_->unsubscribe(topics_.everything_of(sut)); !gone)
            sys::log(sys::Level::debug, gone.error().message);
        const bool purged = purged_.erase(sut) > 0;
        const bool in_work = fleet_.history(sut).busy || fleet_.history(sut).asked.what != Asked::What::nothing;
        if (!fleet_.strays().contains(sut) || purged || in_work) {  // it came back, and was not reported meanwhile
            fleet_.touch(sut);
            if (purged) settle_by_look(sut);
            continue;
        }
        fleet_.forget(sut);
        said_again_.forget(sut);
        count([&](Metrics& metrics) { metrics.queues.erase(sut.str()); });
        looks_.erase(sut);
        last_actions_.erase(sut);
        actions_.forget(sut);
        evidence_.erase(sut);
    }
}

void Supervisor::hear_fleet(std::string_view rest, const mqtt::Message& message, SteadyTime now) {
    constexpr std::string_view k_cmd = "cmd/", k_report = "sut/", k_queue = "queue/";
    if (rest.starts_with(k_queue)) return pools_->hear_own(message.topic, message.payload);
    if (rest.starts_with(k_report) && !message.payload.empty()) {
        // A report of an earlier life of ours: what it is about may be gone.
        if (const auto sut = SutName::parse(rest.substr(k_report.size()))) {
            if (!fleet_.contains(*sut)) fleet_.know(*sut);
            if (!actions_.remembers(*sut)) {
                fleet_.touch(*sut);  // there is more to tell
                actions_.remember(*sut, decode_history(message.payload));
                if (auto evidence = decode_evidence(message.payload); !evidence.empty()) evidence_.try_emplace(*sut, std::move(evidence));
            }
        }
    }
    if (!rest.starts_with(k_cmd) || message.retain) return;
    const auto verb = rest.substr(k_cmd.size());
    const bool fits = message.payload.size() <= k_command_limit;
    const auto outcome = fits ? obey(verb, argument_of(message.payload), now)
                              : Result<std::string>(fail(ErrorKind::invalid_input, "expected at most " + std::to_string(k_command_limit) + " bytes"));
    mqtt::Publication reply;
    reply.topic = topics_.answer_topic(message.response_topic, topics_.fleet_response(verb));
    reply.correlation_data = message.correlation_data;
    reply.payload = encode_answer(outcome, fits ? message.payload : std::string());
    if (const auto sent = session_->publish(reply); !sent) sys::log(sys::Level::warn, sent.error().message);
}

Result<std::string> Supervisor::obey(std::string_view verb, const std::string& argument, SteadyTime now) {
    if (verb == "plan") {
        if (!found_known_ || !confs_.known()) return fail(ErrorKind::transient, "the engine or the folder of confs has not been read yet: ask again");
        const auto plan = reconcile(fleet_.observation(), now);
        return to_text(plan) + interval_line(plan, fleet_.totals().agents, lookout_->cpus()) + errors_in(confs_, contexts_, settings_);
    }
    if (verb == "clock") return format_rfc3339(sys::wall_now());
    if (verb == "apply") {
        fleet_.release_removals();
        return "held removals are released";
    }
    if (verb == "cancel") return pools_->cancel(argument, *session_, now);
    if (verb == "rotate") return rotate(argument);
    if (verb == "password")
        return registrar_.set_person(argument).map([] { return std::string("the broker takes the new password"); });
    if (verb != "restart" && verb != "reset" && verb != "conf")
        return fail(ErrorKind::invalid_input, "unknown command: expected plan, apply, clock, cancel <queue> <id>, conf <sut>, restart <sut>, "
                                              "reset <sut>, rotate <sut>|--all or password <line>");
    const auto order = parse_sut_order(verb, argument);
    if (!order) return fail(order.error());
    if (verb == "conf") return conf_text(order->sut);
    return obey(verb, *order);
}

Result<std::string> Supervisor::obey(std::string_view verb, const SutOrder& order) {
    const auto& sut = order.sut;
    if (order.purge) return purge(order);
    const auto* found = fleet_.found(sut);
    if (found == nullptr && (verb != "reset" || fleet_.wanted(sut) == nullptr))
        return fail(ErrorKind::not_found, "no container of " + sut.str());
    release(sut);
    if (verb == "reset") return sut.str() + " is released from quarantine and backoff";
    auto& history = fleet_.know(sut);
    history.asked = {Asked::What::restart, order.now};
    if (found->status == ContainerStatus::paused) return sut.str() + " is paused: it restarts once it is not";
    if (history.job_runs && !order.now) return sut.str() + " restarts once its running job has ended; with --now, at once";
    return "restarting " + sut.str();
}

Result<std::string> Supervisor::purge(const SutOrder& order) {
    const auto& sut = order.sut;
    const auto* found = fleet_.found(sut);
    const bool runs = found != nullptr && (found->status == ContainerStatus::running || found->status == ContainerStatus::paused);
    if (runs && fleet_.history(sut).job_runs && !order.now)
        return fail(ErrorKind::conflict, "a job runs on " + sut.str() + ": wait for it, cancel it, or use --now, and it is lost");
    release(sut);
    fleet_.know(sut).asked = {Asked::What::purge, order.now};
    return "purging " + sut.str() + ": its container goes, and its volumes with all jobs and logs" +
           (fleet_.wanted(sut) != nullptr ? "; it comes back fresh" : "");
}

/// The conf's keys and where each comes from; of a conf with an error, what the agent runs by.
Result<std::string> Supervisor::conf_text(const SutName& sut) const {
    const auto name = sut.str() + ".conf";
    const auto file = confs_.files().find(sut);
    if (file == confs_.files().end()) return fail(ErrorKind::not_found, "no " + name);
    for (const auto& one : file->second.companions)
        if (one.name == name) return to_text(name, conf_keys(sut, one.content));
    return fail(ErrorKind::invalid_input, file->second.error.empty() ? name + " has not been read" : file->second.error);
}

void Supervisor::report(SteadyTime now) {
    const auto changed = fleet_.take_changed();
    for (const auto& sut : changed) {
        auto one = as_pool_sut(sut);
        if (!one) said_again_.forget(sut);  // they know nothing of it then
        pools_->set_sut(sut, std::move(one));
    }
    hold_jobs(now);
    if (confs_.known()) pools_->listen(settings_, wake_);  // before, each submit would be for an unknown queue
    for (const auto& sut : changed)
        if (fleet_.contains(sut) && !fleet_.strays().contains(sut) && !clearing_.contains(sut)) report_sut(sut);
    if (changed.empty() && now < fleet_report_at_) return;
    fleet_report_at_ = now + 1s;
    report_fleet();
}

/// What waits for a running job would wait for the whole queue behind it, if the agent went on.
void Supervisor::hold_jobs(SteadyTime now) {
    const auto& awaiting = fleet_.awaiting_job();
    std::erase_if(told_to_hold_, [&](const auto& one) { return !awaiting.contains(one.first); });
    for (const auto& sut : awaiting) {
        const auto told = told_to_hold_.find(sut);
        if (told != told_to_hold_.end() && now - told->second < k_no_job_again) continue;
        mqtt::Publication command;
        command.topic = topics_.command(sut, "hold");
        command.payload = std::to_string(k_no_job_for.count()) + " " + fleet_.hold(sut);
        if (session_->publish(command)) told_to_hold_[sut] = now;
    }
}

void Supervisor::report_fleet() {
    const auto& totals = fleet_.totals();
    FleetReport report;
    report.agents = totals.agents;
    report.running = totals.by_status.at(static_cast<std::size_t>(ContainerStatus::running));
    report.healthy = totals.engine_healthy;
    report.ok = totals.ok;
    report.errors = totals.broken;
    report.parked = totals.parked;
    report.quarantined = totals.quarantined;
    report.engine = !engine_trouble_.empty() ? engine_trouble_ : found_known_ ? "ok" : "has not answered yet";
    report.broker = broker_word();
    report.certificate = certificate_;
    report.complaints = first_of(confs_.complaints(), [](const auto& one) { return one.first + ": " + one.second; });
    report.held = first_of(fleet_.held(), [this](const SutName& sut) { return sut.str() + ": " + fleet_.hold(sut); });
    board_.set(topics_.fleet_state(), encode(report));
}

void Supervisor::report_sut(const SutName& sut) {
    const auto& history = fleet_.history(sut);
    SutReport report;
    report.sut = sut.str();
    report.file = sut.str() + ".conf";
    const auto file = confs_.files().find(sut);
    report.wanted = "gone";
    if (file != confs_.files().end()) {
        report.error = trouble_of(contexts_, settings_, file->second);
        report.conf = file->second.conf ? &*file->second.conf : nullptr;
        report.wanted = !report.error.empty() ? "error" : report.conf != nullptr && !report.conf->enabled ? "parked" : "running";
    }
    stand_in_for(sut);
    report.found = fleet_.found(sut);
    report.other_programs = report.found != nullptr && has_other_programs(*report.found, fleet_.programs());
    std::tie(report.health, report.health_why) = judge(report.found, history);
    report.restarts = history.restarts.size();
    report.quarantined = history.quarantined;
    report.agent = history.agent_says;
    report.hold = fleet_.hold(sut);
    if (const auto last = last_actions_.find(sut); last != last_actions_.end()) report.last_action = last->second;
    report.history = actions_.of(sut);
    if (const auto evidence = evidence_.find(sut); evidence != evidence_.end()) report.evidence = evidence->second;
    board_.set(topics_.fleet_sut(sut.str()), encode(report));
}

}  // namespace sutfleet
