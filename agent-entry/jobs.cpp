// The job at hand: what the pure machine (job_run.hpp) says is done here.

#include <algorithm>
#include <csignal>

#include "agent.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/process_table.hpp"

namespace sutfleet::agent {

bool Agent::may_start(SteadyTime now) const {
    return !current_ && !stopping_ && household_->ready() && cleanups_.empty() && gate_.refusal().empty() && gate_.held(now).empty();
}

/// A job that is being journalled finds its place made. If the journal does not take it, that is made again or removed in time.
void Agent::make_coming_place() {
    if (const auto coming = book_->take_coming()) place_.emplace(coming->first, make_place(coming->first, coming->second));
}

/// The folder with what the commands find in it. @return its log
Result<std::shared_ptr<LogFile>> Agent::make_place(const JobId& id, const JobRequest& request) const {
    if (auto made = job_folders_->make(id, request); !made) return fail(made.error());
    return LogFile::open(book_->folder(id) + "/output.log", 0, 0);
}

void Agent::begin_granted(SteadyTime now) {
    if (const auto granted = book_->take_granted()) may_start(now) ? begin_job(*granted, false, now) : put_back(*granted);
    place_.reset();
}

void Agent::next_job(SteadyTime now) {
    book_->expire(conf_.rules.timeouts.queue, sys::wall_now());
    const bool starts = may_start(now);
    begin_granted(now);
    if (!current_ && !stopping_ && household_->ready() && !cleanups_.empty()) {
        auto lost = cleanups_.front();
        sys::crash_point("cleanup of a lost job: due");
        cleanups_.erase(cleanups_.begin());
        // Without a cleanup in the conf there is nothing to run: its end comes at once.
        begin_job(std::move(lost), true, now);
    } else if (starts && !current_) {
        if (const auto record = book_->next(sys::wall_now())) begin_job(*record, false, now);
    }
    book_->set_idle(starts && !current_);
}

/// A job that was journalled as running, and then something forbade its start.
void Agent::put_back(JobRecord record) {
    record.state = JobState::queued;
    record.started.clear();
    if (const auto updated = book_->update(std::move(record)); !updated)
        sys::log(sys::Level::error, "the journal cannot be written: " + updated.error().message);
}

void Agent::begin_job(JobRecord record, bool only_cleanup, SteadyTime now) {
    const auto end = [&](JobState state, const std::string& reason) {
        if (only_cleanup) {
            end_cleanup(record, {JobState::failed, reason, {}});
        } else {
            record.state = state;
            record.reason = reason;
            if (state == JobState::rejected) record.started.clear();
            record.finished = format_rfc3339(sys::wall_now());
        }
        if (const auto updated = book_->update(record); !updated)
            sys::log(sys::Level::error, "job=" + record.id.str() + " " + updated.error().message);
        if (terminal(record.state)) job_folders_->ended(record.id, sys::wall_now());
    };
    const auto give_up = [&](const Error& why) { end(JobState::failed, "its files cannot be made: " + why.message); };
    auto request = book_->request(record.id);
    if (!request) return give_up(request.error());
    // The conf may have changed since it was taken: what it does not let run any more ends here.
    auto named = permit(conf_.rules.submit, *request);
    if (!named && !only_cleanup) return end(record.attempt == 1 ? JobState::rejected : JobState::failed, named.error().message);
    if (!named) request->env.clear();  // a cleanup is the conf's own
    const auto log = place_ && place_->first == record.id ? place_->second : make_place(record.id, *request);
    if (!log) return give_up(log.error());
    const bool to_journal = !only_cleanup && record.state != JobState::running;
    if (to_journal) {
        record.state = JobState::running;
        record.started = format_rfc3339(sys::wall_now());
    }
    JobRun run(conf_.rules, *request, only_cleanup, named.value_or(std::nullopt));
    current_.emplace(Current{std::move(record), std::move(run), request->env, request->retries, request->artifacts, *log, OutputFeed(*log), {}, 0, only_cleanup});
    sys::crash_point("start: folder made");
    if (to_journal) journal_current(JobJournal::Sync::now);
    sys::crash_point("start: journalled");
    const auto what = "job=" + current_->record.id.str() + (only_cleanup ? " cleanup of a lost job" : " started");
    if (!only_cleanup) board_.refresh(topics_.of(conf_.sut, k_last_job), current_->record.id.str());
    apply(current_->run.start(now), now);
    job_folders_->make_next();
    sys::log(sys::Level::info, what);
}

void Agent::journal_current(JobJournal::Sync sync) {
    const auto updated = book_->update(current_->record, sync);
    if (updated)
        current_->record = *updated;
    else
        report_loss(updated.error());
}

/// An end is durable with the start that follows it, or here: before anybody hears of it.
void Agent::settle_journal() {
    if (const auto settled = book_->settle(); !settled)
        report_loss(settled.error());
    else if (std::exchange(job_loss_reported_, false))
        sys::log(sys::Level::info, "the journal can be written again: nothing is missing in it");
}

void Agent::report_loss(const Error& why) {
    if (!job_loss_reported_) sys::log(sys::Level::error, "the journal cannot be written: " + why.message);
    job_loss_reported_ = true;
}

void Agent::apply(const std::vector<JobEffect>& effects, SteadyTime now) {
    for (const auto& effect : effects) {
        if (!current_) return;
        if (const auto* spawn = std::get_if<SpawnPhase>(&effect)) spawn_phase(*spawn, now);
        if (const auto* signal = std::get_if<SignalPhase>(&effect)) signal_job(signal->signal);
        if (const auto* finish = std::get_if<FinishJob>(&effect)) finish_job(*finish);
    }
}

/// All that the job started, also what left its process group.
void Agent::signal_job(int signal) {
    if (current_->child) sys::signal_group(current_->child->pid, signal);
    for (const auto pid : sys::processes_with(marker_of(current_->record), sys::Marked::too)) {
        ::kill(pid, signal);
        ::kill(pid, SIGCONT);  // a stopped one hears nothing
    }
    sys::crash_point("job: signalled");
}

void Agent::spawn_phase(const SpawnPhase& step, SteadyTime now) {
    const auto folder = book_->folder(current_->record.id);
    auto extra = current_->env;
    extra["SUTFLEET_COMMAND_FILE"] = folder + "/command";
    extra["SUTFLEET_JOB_ID"] = current_->record.id.str();
    extra["SUTFLEET_PHASE"] = step.phase;
    extra["SUTFLEET_ARTIFACTS"] = folder + "/artifacts";
    // The phase is published, not journalled: after a crash the record need not know more than RUNNING.
    current_->record.phase = step.phase;
    sys::crash_point("phase: not spawned");
    current_->memory_kills = sys::out_of_memory_kills();  // before: it may be quick
    auto child = start(step.command, current_->log, folder, extra, {}, true);
    sys::crash_point("phase: spawned");
    if (child) {
        current_->child = *child;
        return;
    }
    const auto note = "sutfleet: " + step.phase + " cannot be started: " + child.error().message + "\n";
    pump_->note(current_->log, note);
    phase_ended(sys::shell_code(child.error()), now);
}

void Agent::phase_ended(int code, SteadyTime now) {
    sys::crash_point("phase: ended");
    const auto seconds = current_->run.phase_seconds(now);
    current_->record.phases[current_->run.phase()] = {code, static_cast<double>(static_cast<long>(seconds * 1000)) / 1000};
    const bool out_of_memory = code != 0 && sys::out_of_memory_kills() > current_->memory_kills;
    apply(current_->run.exited(code, now, out_of_memory), now);
}

/// Nothing of it runs on. What it left as artifacts is listed before its record is final.
void Agent::finish_job(const FinishJob& finish) {
    auto& record = current_->record;
    record.phase.clear();
    if (const auto killed = sys::kill_all_with(marker_of(current_->record), sys::Marked::too); killed > 0)
        sys::log(sys::Level::info, "job=" + record.id.str() + " left " + std::to_string(killed) + " processes behind: killed");
    const bool last = !current_->only_cleanup && !tries_again(current_->retries, finish, record.attempt);
    const bool any = !current_->artifacts.empty() || job_folders_->has_artifacts(record.id);
    if (!last || stopping_ || !any) return complete_job(finish);
    record.phase = "artifacts";
    current_->finish = finish;
    job_folders_->list(record.id, current_->artifacts);
}

void Agent::complete_job(const FinishJob& finish) {
    auto& record = current_->record;
    record.phase.clear();
    if (finish.needs_person) maintain("job " + record.id.str() + " ended with 46: the device needs a person");
    if (current_->only_cleanup) {
        end_cleanup(record, finish);
    } else if (tries_again(current_->retries, finish, record.attempt)) {
        queue_again(record, current_->retries, finish, sys::wall_now());
    } else {
        record.state = finish.state;
        record.reason = finish.reason;
        record.exit = finish.exit;
        record.finished = format_rfc3339(sys::wall_now());
    }
    if (finish.state == JobState::lost) record.cleanup_due = true;
    record.log_bytes = current_->log->end();
    record.dropped = std::max(current_->feed.dropped(), current_->log->lost());
    sys::crash_point("end: not journalled");
    journal_current(JobJournal::Sync::later);
    sys::crash_point("end: journalled");
    sys::log(sys::Level::info, "job=" + record.id.str() + " " + std::string(to_string(record.state)));
    if (terminal(record.state)) job_folders_->ended(record.id, sys::wall_now());
    // Its last output goes out in its own time; the next job does not wait for the broker.
    trailing_.push_back({record.id.str(), std::move(current_->feed)});
    if (trailing_.size() > k_trailing_limit) trailing_.pop_front();
    current_.reset();
}

/// Of a lost job, its record is otherwise what it was. When the agent stops meanwhile, the cleanup stays due.
void Agent::end_cleanup(JobRecord& record, const FinishJob& finish) {
    record.cleanup_due = false;
    if (finish.state != JobState::succeeded && finish.state != JobState::lost)
        maintain("cleanup of lost job " + record.id.str() + " failed: " + finish.reason);
}

/// Before the journal says what for: a death in between must not let the next job start.
void Agent::maintain(const std::string& why) {
    gate_.maintain(why);
    book_->refuse_all(gate_.refusal());
}

}  // namespace sutfleet::agent
