// The processes of the household: how each is started, watched and ended.

#include "household.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "core/duration.hpp"
#include "probe_text.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/log.hpp"
#include "sys/process.hpp"
#include "sys/process_table.hpp"

namespace sutfleet::agent {
namespace {

using namespace std::chrono_literals;

/// http-probe keeps to its own limit; this is for one that cannot, say because a name server hangs.
constexpr auto k_probe_grace = 2s;
constexpr std::pair<std::chrono::milliseconds, std::chrono::milliseconds> k_renewal_limits{1min, 1h};

std::string label_of(bool is_service, std::string_view kind, const std::string& name) {
    return is_service ? name : std::string(kind) + " " + name;
}

std::string plain(std::string_view kind, const std::string& name, int code) {
    return std::string(kind) + " " + name + " failed (" + std::to_string(code) + ")";
}

}  // namespace

bool Household::busy(Kind kind, const std::string& name) const {
    return std::ranges::any_of(children_, [&](const Child& child) { return child.kind == kind && (kind == Kind::init || child.name == name); });
}

std::string Household::marker_of(const Child& child) { return "SUTFLEET_SERVICE=" + child.name; }

void Household::tell_to_end(Child& child, SteadyTime now) {
    if (child.code || child.told) return;
    child.told = true;
    child.limit_at.reset();
    sys::signal_group(child.process.pid, child.kind == Kind::probe ? SIGKILL : SIGTERM);
    child.kill_at = now + timeouts_.stop;
}

void Household::disown(Kind kind, const std::string& name, SteadyTime now) {
    for (auto& child : children_) {
        if (child.kind != kind || child.name != name) continue;
        child.disowned = true;
        tell_to_end(child, now);
    }
}

void Household::enforce_times(SteadyTime now) {
    for (auto& child : children_) {
        if (child.limit_at && now >= *child.limit_at) {
            child.overdue = true;
            tell_to_end(child, now);
        }
        if (!child.kill_at || now < *child.kill_at) continue;
        child.kill_at.reset();
        sys::signal_group(child.process.pid, SIGKILL);
    }
}

void Household::settle(const std::map<pid_t, int>& ended, const std::vector<SourceId>& drained, SteadyTime now) {
    std::vector<Child> over;
    for (auto& child : children_) {
        if (const auto found = ended.find(child.process.pid); !child.code && found != ended.end()) {
            child.code = found->second;
            child.limit_at.reset();
            child.kill_at.reset();
            sys::signal_group(child.process.pid, SIGKILL);  // what it left behind in its group
            if (child.process.source != 0) hands_.finish(child.process.source);
        }
        // A source may end before its process does.
        if (std::ranges::find(drained, child.process.source) != drained.end()) child.process.source = 0;
    }
    for (auto at = children_.begin(); at != children_.end();) {
        if (!at->code || at->process.source != 0) {
            ++at;
            continue;
        }
        over.push_back(std::move(*at));
        at = children_.erase(at);
    }
    for (auto& child : over) conclude(child, now);
}

void Household::conclude(Child& child, SteadyTime now) {
    const int code = *child.code;
    if (child.kind == Kind::service) {
        // What is told to end ends with all that it started: the next one finds ports and locks free.
        if (child.told) sys::kill_all_with(marker_of(child));
        sys::log(sys::Level::info, "service " + child.name + " ended with " + std::to_string(code));
        return services_.ended(child.name, code, now);
    }
    if (child.disowned || stopping_) return;
    if (child.kind == Kind::init) init_ended(child.name, child.overdue && code == 0 ? 124 : code, now);
    if (child.kind == Kind::renewal) renewal_ended(child.name, code, child.overdue, now);
    if (child.kind == Kind::probe) probe_ended(child, now);
}

std::optional<int> Household::start(Kind kind, const std::string& name, const Command& command,
                                    std::optional<std::chrono::milliseconds> limit, SteadyTime now) {
    Child child{kind, name, {}};
    const auto label = label_of(kind == Kind::service, kind == Kind::init ? "init" : "renew", name);
    std::map<std::string, std::string> extra;
    if (kind == Kind::service) extra["SUTFLEET_SERVICE"] = name;
    const auto process = hands_.start(command, label, extra);
    if (!process) {
        sys::log(sys::Level::error, label + " cannot be started: " + process.error().message);
        return sys::shell_code(process.error());
    }
    child.process = *process;
    if (limit) child.limit_at = now + *limit;
    children_.push_back(std::move(child));
    return std::nullopt;
}

void Household::tick(bool job_runs, SteadyTime now) {
    enforce_times(now);
    if (stopping_) return;
    if (!unmarked_.empty() && now >= mark_again_)
        for (const auto& step : std::exchange(unmarked_, {})) mark(step, now);
    if (!job_runs) start_init(now);
    start_services(now);
    start_renewals(now);
    start_probes(now);
}

std::optional<SteadyTime> Household::due(bool job_runs) const {
    std::optional<SteadyTime> out;
    const auto sooner = [&](std::optional<SteadyTime> at) {
        if (at && (!out || *at < *out)) out = at;
    };
    for (const auto& child : children_) sooner(child.limit_at), sooner(child.kill_at);
    if (stopping_) return out;
    if (!unmarked_.empty()) sooner(mark_again_);
    if (!job_runs && !busy(Kind::init, "")) sooner(init_.due());
    sooner(services_.due());
    for (const auto& [name, one] : renewals_)
        if (!busy(Kind::renewal, name)) sooner(one.when.due());
    for (const auto& [name, one] : probes_)
        if (!busy(Kind::probe, name)) sooner(one.when.due());
    return out;
}

void Household::start_init(SteadyTime now) {
    if (busy(Kind::init, "")) return;  // one that was disowned has yet to end
    const auto step = init_.start_due(now);
    if (!step) return;
    sys::log(sys::Level::info, "init " + step->name + " starts");
    init_.started();
    sys::crash_point("init: not spawned");
    if (const auto code = start(Kind::init, step->name, step->run, timeouts_.job, now)) init_ended(step->name, *code, now);
}

void Household::init_ended(const std::string& name, int code, SteadyTime now) {
    sys::log(code == 0 ? sys::Level::info : sys::Level::error, "init " + name + " ended with " + std::to_string(code));
    if (const auto done = init_.ended(code, now)) mark(*done, now);
    // A service may have failed for want of just this.
    if (init_.all_done()) services_.hurry(now);
}

void Household::start_services(SteadyTime now) {
    for (const auto& service : services_.start_due(now)) {
        services_.started(service.name, now);
        if (const auto code = start(Kind::service, service.name, service.command, std::nullopt, now))
            services_.ended(service.name, *code, now);
    }
}

void Household::start_renewals(SteadyTime now) {
    for (auto& [name, one] : renewals_) {
        if (!one.when.start_due(now) || busy(Kind::renewal, name)) continue;
        one.when.started(now);
        const auto limit = std::clamp(one.rule.every, k_renewal_limits.first, k_renewal_limits.second);
        if (const auto code = start(Kind::renewal, name, one.rule.run, limit, now)) renewal_ended(name, *code, false, now);
    }
}

void Household::renewal_ended(const std::string& name, int code, bool overdue, SteadyTime now) {
    auto& one = renewals_.at(name);
    const bool ok = code == 0 && !overdue;
    one.when.ended(ok, now);
    one.trouble = ok ? "" : overdue ? "renew " + name + " failed (took too long)" : plain("renew", name, code);
    if (!ok) sys::log(sys::Level::warn, one.trouble);
    const auto at = " | time: " + format_rfc3339(sys::wall_now());
    hands_.show("credential/" + name, ok ? "state: ok" + at : "state: error" + at + " | " + one.trouble + ", see agent.log");
}

void Household::start_probes(SteadyTime now) {
    for (auto& [name, one] : probes_) {
        if (!one.when.start_due(now) || busy(Kind::probe, name)) continue;
        one.when.started(now);
        one.started = now;
        Child child{Kind::probe, name, {}};
        int ends[2];
        auto process = Result<Process>(fail(ErrorKind::transient, "no pipe"));
        if (::pipe2(ends, O_CLOEXEC) == 0) {
            child.result = sys::UniqueFd(ends[0]);
            ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
            const sys::UniqueFd theirs(ends[1]);
            process = hands_.start_probe({std::to_string(one.rule.timeout.count()), one.rule.url}, theirs.get());
        }
        if (!process) {
            hands_.show(name, probe_text("error", 0ms, "http-probe cannot be started: " + process.error().message));
            one.when.ended(false, now);
            continue;
        }
        child.process = *process;
        child.limit_at = now + one.rule.timeout + k_probe_grace;
        children_.push_back(std::move(child));
    }
}

void Household::probe_ended(const Child& child, SteadyTime now) {
    auto& one = probes_.at(child.name);
    std::string written(k_probe_text_limit + 2, '\0');
    const auto got = ::read(child.result.get(), written.data(), written.size());
    written.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    auto text = accepted_probe_text(written);
    const auto taken = std::chrono::duration_cast<std::chrono::milliseconds>(now - one.started);
    if (text.empty())
        text = child.overdue ? probe_text("timeout", taken)
                             : probe_text("error", taken, "http-probe ended with " + std::to_string(*child.code));
    one.when.ended(text.starts_with("state: ok"), now);
    hands_.show(child.name, text);
}

void Household::stop(SteadyTime now) {
    if (std::exchange(stopping_, true)) return;
    services_.stop();
    for (auto& child : children_) tell_to_end(child, now);
}

}  // namespace sutfleet::agent
