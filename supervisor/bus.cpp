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

std::string offline_state() {
    return R"({"state":"offline","boot":null,"since":")" + format_rfc3339(sys::wall_now()) +
           R"(","why":"the container does not run"})";
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
    auto drained = session_->drain();
    if (!session_->connected()) {
        link_up_since_.reset();
    } else if (session_->epoch() != epoch_) {
        epoch_ = session_->epoch();
        link_up_since_ = now;
        sys::log(sys::Level::info, "connected to the broker");
    }
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
    auto& history = history_[sut];
    heard_.insert(sut);
    if (level == k_agent) {
        history.agent_says = message.payload;
        if (message.payload != k_offline) history.last_beat = now;
        if (message.payload == k_offline) {
            engine_changed_ = true;
            correct_the_dead(sut);
        }
    } else if (level == k_jobs) {
        history.job_runs = job_runs(message.payload);
    } else if (level == k_submit && message.retain) {
        publish(message.topic, "", true);  // a retained submit would be offered again to every new subscriber
    } else if (level == "cmd/resume") {
        history.quarantined = false;
        history.restarts.clear();
    }
}

/// An agent that is gone cannot say so itself, except by its will on `<sut>/agent`.
void Supervisor::correct_the_dead(const SutName& sut) {
    board_.refresh(topics_.of(sut, k_submit_status), std::string(k_offline));
    board_.refresh(topics_.of(sut, k_state), offline_state());
    board_.flush(*session_, sys::steady_now());
    // Said once: from now on these topics are the agent's own again.
    board_.forget(topics_.of(sut, k_submit_status));
    board_.forget(topics_.of(sut, k_state));
}

/// Retained topics of SUTs that are neither wanted nor there: looked for, cleared, and their session ended.
void Supervisor::clear_retired(SteadyTime now) {
    if (!session_->connected() || !found_known_ || !confs_.known()) return;
    for (auto at = heard_.begin(); at != heard_.end();) {
        const auto sut = *at;
        if (confs_.files().contains(sut) || found_.contains(sut) || clearing_.contains(sut)) {
            ++at;
            continue;
        }
        at = heard_.erase(at);
        if (!session_->subscribe({topics_.everything_of(sut), 1, true})) continue;
        clearing_.emplace(sut, now + k_clearing);
        board_.clear(topics_.fleet_sut(sut.str()));
        if (registrar_.credential(sut).empty()) continue;
        mqtt::SessionOptions as_agent;
        as_agent.url = settings_.broker;
        as_agent.client_id = as_agent.user = sut.str();
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
        history_.erase(sut);
        last_actions_.erase(sut);
        actions_.forget(sut);
        evidence_.erase(sut);
    }
}

void Supervisor::hear_fleet(std::string_view rest, const mqtt::Message& message, SteadyTime now) {
    constexpr std::string_view k_cmd = "cmd/", k_report = "sut/";
    if (rest.starts_with(k_report) && !message.payload.empty())
        if (const auto sut = SutName::parse(rest.substr(k_report.size()))) {
            reported_.insert(*sut);
            if (!actions_.remembers(*sut)) {
                actions_.remember(*sut, decode_history(message.payload));
                if (auto evidence = decode_evidence(message.payload); !evidence.empty()) evidence_.try_emplace(*sut, std::move(evidence));
            }
        }
    if (!rest.starts_with(k_cmd) || message.retain) return;
    const auto verb = rest.substr(k_cmd.size());
    const auto outcome = obey(verb, argument_of(message.payload), now);
    mqtt::Publication reply;
    reply.topic = message.response_topic.empty() ? topics_.fleet_response(verb) : message.response_topic;
    reply.correlation_data = message.correlation_data;
    reply.payload = encode_answer(outcome, message.payload);
    if (const auto sent = session_->publish(reply); !sent) sys::log(sys::Level::warn, sent.error().message);
}

Result<std::string> Supervisor::obey(std::string_view verb, const std::string& argument, SteadyTime now) {
    if (verb == "plan") return last_plan_;
    if (verb == "clock") return format_rfc3339(sys::wall_now());
    if (verb == "apply") {
        removals_released_ = true;
        return "held removals are released";
    }
    if (verb != "restart" && verb != "reset" && verb != "conf")
        return fail(ErrorKind::invalid_input, "unknown command: expected plan, apply, clock, conf <sut>, restart <sut> or reset <sut>");
    const auto sut = SutName::parse(argument);
    if (!sut) return fail(sut.error());
    if (verb == "conf") return conf_text(*sut);
    const auto found = found_.find(*sut);
    if (found == found_.end()) return fail(ErrorKind::not_found, "no container of " + sut->str());
    auto& history = history_[*sut];
    history.quarantined = false;
    history.restarts.clear();
    if (verb == "reset") return sut->str() + " is released from quarantine and backoff";
    if (history.busy) return fail(ErrorKind::conflict, "an action on " + sut->str() + " is under way");
    Plan plan;
    plan.actions.push_back({Verb::restart, *sut, "asked for"});
    act(plan, now);
    return "restarting " + sut->str();
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

void Supervisor::report(const Plan& plan, SteadyTime) {
    last_plan_ = to_text(plan);
    std::map<SutName, std::string> holds;
    for (const auto& hold : plan.holds) holds[hold.sut] = hold.reason;
    FleetReport fleet;
    fleet.engine = engine_trouble_.empty() ? "ok" : engine_trouble_;
    for (const auto& [name, why] : confs_.complaints()) fleet.complaints.push_back(name + ": " + why);
    for (const auto& hold : plan.holds) fleet.held.push_back(hold.sut.str() + ": " + hold.reason);
    std::set<SutName> all;
    for (const auto& [sut, file] : confs_.files()) {
        all.insert(sut);
        fleet.errors += file.error.empty() ? 0U : 1U;
        fleet.parked += file.conf && !file.conf->enabled ? 1U : 0U;
    }
    for (const auto& [sut, one] : found_) {
        all.insert(sut);
        fleet.running += one.status == ContainerStatus::running ? 1U : 0U;
        fleet.healthy += one.health == EngineHealth::healthy ? 1U : 0U;
    }
    for (const auto& sut : all) {
        fleet.ok += history_[sut].agent_says == "ok" ? 1U : 0U;
        fleet.quarantined += history_[sut].quarantined ? 1U : 0U;
        if (!clearing_.contains(sut)) report_sut(sut, holds);
    }
    fleet.agents = all.size();
    if (found_known_ && confs_.known())
        std::erase_if(reported_, [&](const SutName& sut) {
            if (all.contains(sut)) return false;
            board_.clear(topics_.fleet_sut(sut.str()));
            return true;
        });
    board_.set(topics_.fleet_state(), encode(fleet));
    // A release is for what is to go now. It neither ends before that, nor outlives it because of some other hold.
    if (found_known_ && confs_.known())
        removals_released_ = removals_released_ && std::ranges::any_of(found_, [&](const auto& one) {
                                 return !confs_.files().contains(one.first);
                             });
}

namespace {

/// The supervisor's own word on an agent, from all that it knows.
std::pair<std::string, std::string> judge(const FoundContainer* found, const History& history) {
    if (found == nullptr) return {"", ""};
    if (found->status == ContainerStatus::paused) return {"paused", "the container is paused"};
    if (found->status != ContainerStatus::running) return {"down", "the container does not run"};
    if (history.probe == History::Probe::failed) return {"unhealthy", history.probe_said};
    if (history.probe == History::Probe::fine && history.agent_says == k_offline)
        return {"degraded", "unreachable: its probe is fine, but it is not on the bus"};
    if (found->health == EngineHealth::unhealthy) return {"unhealthy", found->health_log};
    const auto colon = history.agent_says.find(": ");
    if (colon != std::string::npos) return {history.agent_says.substr(0, colon), history.agent_says.substr(colon + 2)};
    return {history.agent_says, ""};
}

}  // namespace

void Supervisor::report_sut(const SutName& sut, const std::map<SutName, std::string>& holds) {
    const auto& history = history_[sut];
    SutReport report;
    report.sut = sut.str();
    report.file = sut.str() + ".conf";
    const auto file = confs_.files().find(sut);
    report.wanted = "gone";
    if (file != confs_.files().end()) {
        report.error = file->second.error;
        report.conf = file->second.conf ? &*file->second.conf : nullptr;
        report.wanted = !report.error.empty() ? "error" : report.conf != nullptr && !report.conf->enabled ? "parked" : "running";
        if (report.wanted == "parked" && !found_.contains(sut))
            board_.set(topics_.of(sut, k_submit_status), "rejected: parked");
        else if (report.wanted == "running")
            board_.forget(topics_.of(sut, k_submit_status));
    }
    const auto found = found_.find(sut);
    if (found != found_.end()) report.found = &found->second;
    std::tie(report.health, report.health_why) = judge(report.found, history);
    report.restarts = history.restarts.size();
    report.quarantined = history.quarantined;
    report.agent = history.agent_says;
    if (const auto hold = holds.find(sut); hold != holds.end()) report.hold = hold->second;
    if (const auto last = last_actions_.find(sut); last != last_actions_.end()) report.last_action = last->second;
    report.history = actions_.of(sut);
    if (const auto evidence = evidence_.find(sut); evidence != evidence_.end()) report.evidence = evidence->second;
    board_.set(topics_.fleet_sut(sut.str()), encode(report));
}

}  // namespace sutfleet
