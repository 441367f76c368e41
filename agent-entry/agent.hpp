#pragma once
// One agent: the loop of PID 1. It owns all state on the main thread, hears signals, children, output, the broker
// and the conf as wakes, asks the pure machines what to do, and does it. Nothing waits for the broker.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "conf/agent_conf.hpp"
#include "core/topics.hpp"
#include "gate.hpp"
#include "heartbeat_writer.hpp"
#include "household.hpp"
#include "job_book.hpp"
#include "job_folders.hpp"
#include "job_run.hpp"
#include "lifecycle.hpp"
#include "mqtt/board.hpp"
#include "mqtt/session.hpp"
#include "output_feed.hpp"
#include "output_watch.hpp"
#include "pump.hpp"
#include "standstill.hpp"
#include "sys/process.hpp"
#include "sys/signals.hpp"
#include "usage.hpp"

namespace sutfleet::agent {

inline constexpr std::size_t k_trailing_limit = 100;
inline constexpr std::size_t k_replies_limit = 1000;

struct Folders {
    std::string conf;   ///< with `.current/agent.json` in it
    std::string state;
    std::string run;
    std::string secrets;  ///< a file each; need not be there
};

class Agent {
  public:
    static Result<std::unique_ptr<Agent>> open(Folders folders);
    /// Runs until a stop signal. @return the exit code: the subprocess's, 0 without one.
    int run();

  private:
    struct Deps {
        AgentConf conf;
        sys::Signals signals;
        std::unique_ptr<JobBook> book;
        std::shared_ptr<LogFile> log;
    };
    Agent(Folders folders, Deps deps, sys::Wake wake);
    Result<void> connect();

    /// What every process of the job inherits.
    [[nodiscard]] std::string marker_of(const JobRecord& record) const { return "SUTFLEET_ARTIFACTS=" + book_->folder(record.id) + "/artifacts"; }
    /// A child that runs or whose output is still being read.
    struct Running {
        pid_t pid = -1;
        SourceId source = 0;
        std::optional<int> code;  ///< set when it has ended
    };
    /// The job at hand.
    struct Current {
        JobRecord record;
        JobRun run;
        std::map<std::string, std::string> env;  ///< of the job's own
        RetryRule retries;
        std::vector<std::string> artifacts;  ///< patterns
        std::shared_ptr<LogFile> log;
        OutputFeed feed;
        std::optional<Running> child;
        std::uint64_t log_seen = 0;
        bool only_cleanup = false;
        std::optional<FinishJob> finish{};  ///< set: its artifacts are being listed, and then it is over
        long memory_kills = 0;  ///< of the control group, when the phase started
    };

    // agent.cpp: the loop
    void wait();
    void turn(SteadyTime now);
    void look_for_output(SteadyTime now);
    [[nodiscard]] std::uint64_t written() const;
    void hear_signals(SteadyTime now);
    void reap();
    void settle_children(SteadyTime now);
    void look_for_conf(SteadyTime now);
    void begin_stop(SteadyTime now);
    [[nodiscard]] bool stopped() const;
    void report_health(SteadyTime now);
    void set_health_rules();
    void end_group(pid_t group);
    int close();

    // subprocess.cpp
    void run_command(SteadyTime now);
    void command_ended(SteadyTime now);
    void restart_command(SteadyTime now);
    Result<Running> start(const Command& command, const std::shared_ptr<LogFile>& log, const std::string& folder,
                          const std::map<std::string, std::string>& extra, const std::string& label = {}, bool of_job = false);
    Household::Hands hands();

    // jobs.cpp
    /// Whether a job that comes now would start at once.
    [[nodiscard]] bool may_start(SteadyTime now) const;
    void make_coming_place();
    [[nodiscard]] Result<std::shared_ptr<LogFile>> make_place(const JobId& id, const JobRequest& request) const;
    void begin_granted(SteadyTime now);
    void next_job(SteadyTime now);
    void put_back(JobRecord record);
    void begin_job(JobRecord record, bool only_cleanup, SteadyTime now);
    void apply(const std::vector<JobEffect>& effects, SteadyTime now);
    void signal_job(int signal);
    void spawn_phase(const SpawnPhase& step, SteadyTime now);
    void phase_ended(int code, SteadyTime now);
    void finish_job(const FinishJob& finish);
    void complete_job(const FinishJob& finish);
    void end_cleanup(JobRecord& record, const FinishJob& finish);
    void maintain(const std::string& why);
    void journal_current(JobJournal::Sync sync);
    void settle_journal();
    void report_loss(const Error& why);

    // bus.cpp
    void hear_broker(SteadyTime now);
    void hear(const mqtt::Message& message, SteadyTime now);
    enum class DataForm { text, json };
    void answer(const mqtt::Message& request, std::string_view verb, const Result<std::string>& outcome, DataForm form = DataForm::text);
    Result<std::string> tail(const std::string& payload);
    void send_last_output(std::chrono::milliseconds limit);
    void settle_repeats(const std::vector<mqtt::Message>& heard, SteadyTime now);
    Result<std::string> hold(const std::string& argument, SteadyTime now);
    Result<std::string> prune(const std::string& argument);
    Result<std::string> obey(std::string_view verb, const std::string& argument, SteadyTime now);
    void answer_requester(const JobBook::Answer& said);
    void reply(mqtt::Publication publication);
    void send_replies();
    void show_again(const JobId& id, SteadyTime now);
    void answer_submits(const std::vector<JobBook::Answer>& answers, SteadyTime now);
    void show_current();
    void publish_jobs(SteadyTime now);
    void publish_state(SteadyTime now);
    void publish_metrics(SteadyTime now);
    void feed_output(SteadyTime now);
    [[nodiscard]] std::string submit_status(SteadyTime now) const;
    [[nodiscard]] std::string state_name() const;
    [[nodiscard]] HealthVerdict verdict(SteadyTime now) const;
    [[nodiscard]] HealthVerdict own_verdict(SteadyTime now) const;
    OutputFeed::Publish publisher(const std::string& stream, const std::string& job);

    const Folders folders_;
    AgentConf conf_;
    const Topics topics_;
    const std::string boot_;
    sys::Wake wake_;
    sys::Signals signals_;
    std::unique_ptr<JobBook> book_;
    std::unique_ptr<JobFolders> job_folders_;
    std::shared_ptr<LogFile> log_;
    OutputFeed feed_;
    OutputWatch output_watch_;
    Standstill silence_;       ///< of the subprocess
    Standstill pump_stands_;
    HealthVerdict last_verdict_;
    std::uint64_t written_ = 0;  ///< by the children, as far as it was looked at
    SteadyTime output_at_{};     ///< when something new was found there last
    bool flooded_ = false;       ///< nothing more of it can be sent now
    std::optional<SteadyTime> feed_due_;  ///< when a feed has something to send, as far as time decides it
    std::unique_ptr<Pump> pump_;
    std::unique_ptr<Household> household_;
    std::unique_ptr<HeartbeatWriter> heartbeat_;
    mqtt::Board board_;
    std::unique_ptr<mqtt::Session> session_;

    Lifecycle lifecycle_;
    std::optional<Running> command_;
    std::optional<SteadyTime> command_kill_at_;
    bool command_restarts_ = false;
    std::optional<int> command_code_;
    std::map<pid_t, int> ended_;  ///< children of ours that were reaped, until they are settled
    std::optional<std::pair<JobId, Result<std::shared_ptr<LogFile>>>> place_;  ///< of the job that comes
    std::optional<Current> current_;
    /// Output of ended jobs that the broker does not have yet, oldest first.
    struct Trailing {
        std::string job;
        OutputFeed feed;
    };
    std::deque<Trailing> trailing_;
    std::deque<mqtt::Publication> replies_;  ///< that wait for the broker
    std::vector<JobRecord> cleanups_;  ///< of lost jobs, before any other job
    Gate gate_;
    bool stopping_ = false;
    bool job_loss_reported_ = false;

    std::uint64_t epoch_ = 0;
    std::set<mqtt::PublishId> tails_;  ///< answers to `cmd/tail` that the broker does not have yet
    std::optional<SteadyTime> uptime_asked_;  ///< when the broker was asked how long it has run
    SteadyTime next_beat_{};
    Usage usage_{"/sys/fs/cgroup"};
    SteadyTime next_metrics_{};
    SteadyTime next_conf_look_{};
    std::string conf_seen_;  ///< the stamp of its file
    std::string since_;
    std::string last_state_;
    std::string rejection_;
    SteadyTime rejection_until_{};
    std::map<std::string, std::uint64_t> shown_jobs_;  ///< topics of the records shown, and their versions
    bool positions_stale_ = false;                ///< of jobs that wait
    SteadyTime positions_due_{};                  ///< when they may be shown again
    std::optional<SteadyTime> shown_again_until_;  ///< an old record among them, at the latest
    std::uint64_t shown_revision_ = 0;  ///< of the book
    SteadyTime broker_lost_{};
};

}  // namespace sutfleet::agent
