#pragma once
// The supervisor's loop: wake -> observe -> decide -> act -> report -> wait. It owns all state on one thread; the
// lookout's, the executor's and the libraries' threads only wake it. No call to the engine is made on it. A turn costs
// what happened since the last, whatever the fleet's size; a whole look comes at the start, after lost events, at SIGHUP
// and slowly.

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "confs.hpp"
#include "core/topics.hpp"
#include "docker/docker_engine.hpp"
#include "executor.hpp"
#include "fleet.hpp"
#include "images/context_folder.hpp"
#include "images/image_book.hpp"
#include "images/image_supply.hpp"
#include "journal_reader.hpp"
#include "lookout.hpp"
#include "metrics.hpp"
#include "metrics_server.hpp"
#include "mqtt/board.hpp"
#include "mqtt/session.hpp"
#include "pool/pools.hpp"
#include "reconcile.hpp"
#include "registrar.hpp"
#include "report.hpp"
#include "said_again.hpp"
#include "secret_store.hpp"
#include "session_ender.hpp"
#include "settings.hpp"
#include "sut_order.hpp"
#include "sys/dir_watch.hpp"
#include "sys/lock_file.hpp"
#include "sys/signals.hpp"

namespace sutfleet {

class Supervisor {
  public:
    /// Takes the lock of the stack. @return conflict when another supervisor holds it.
    static Result<std::unique_ptr<Supervisor>> open(const Settings& settings);
    /// Runs until TERM or INT; agents stay. @return the exit code.
    int run();
    /// One look, no action. @return the plan as text.
    static Result<std::string> plan(const Settings& settings);

  private:
    Supervisor(const Settings& settings, sys::Wake wake, sys::Signals signals, sys::LockFile lock,
               std::unique_ptr<Engine> engine);
    Result<void> connect();
    void serve_metrics();
    void measure(SteadyTime began);
    template <typename Change>
    void count(Change change) {
        const std::scoped_lock lock(metrics_mutex_);
        change(metrics_);
    }

    // supervisor.cpp
    void finish_actions();
    void wait(std::optional<SteadyTime> until);
    void take_signals();
    std::optional<SteadyTime> observe_confs(SteadyTime now);
    std::set<SutName> observe_secrets(const std::set<SutName>& changed, SteadyTime now);
    void register_users(const std::set<SutName>& changed);
    void want(const SutName& sut, const std::string& also_changed = {});

    // supervisor_looks.cpp
    void observe_engine(SteadyTime now);
    void take_engine_changes();
    void look_at(const SutName& sut, const std::string& id = {});
    void note(Look look, SteadyTime now);
    void note_all(Look look, SteadyTime now);
    void note_one(const SutName& sut, std::uint64_t number, std::optional<FoundContainer> found, SteadyTime now,
                  bool unseen);
    void note_summary(const SutName& sut, std::uint64_t number, FoundContainer found, SteadyTime now, bool unseen);
    void note_failed_look(const SutName& sut, const Error& error, SteadyTime now);
    void settle_by_look(const SutName& sut);
    bool is_stale(const SutName& sut, std::uint64_t number);
    double random01() { return static_cast<double>(random_() - random_.min()) / static_cast<double>(random_.max() - random_.min()); }

    void act(SteadyTime now);
    void begin(const Action& action, SteadyTime now);
    void settle(SteadyTime now);
    void settle(const Outcome& outcome, SteadyTime now);
    void remember_delivered(const SutName& sut, const std::string& hash);
    /// What an earlier life has left of both.
    void recall(const SutName& sut, SteadyTime now);
    void remember_restarts(const SutName& sut, SteadyTime now);
    void forget_restarts(const SutName& sut, SteadyTime now);
    void keep(const std::string& what, const SutName& sut, const std::string& text);
    [[nodiscard]] std::string kept(const std::string& what, const SutName& sut) const;

    // supervisor_images.cpp
    std::optional<SteadyTime> observe_contexts(SteadyTime now);
    void note(ImageNews news, SteadyTime now);
    void settle(const ImageNews& news, SteadyTime now);
    void spread(const std::string& context);
    void await_image(const SutName& sut);
    void reconsider_image(const SutName& sut);
    // supervisor_gone.cpp
    [[nodiscard]] bool is_gone(const SutName& sut) const;
    void settle_gone(SteadyTime now);
    // credentials.cpp
    Result<std::string> rotate(const std::string& whose);
    Result<void> rotate(const SutName& sut);
    Result<void> open_console();
    void rotate_own(SteadyTime now);
    Result<void> end_rotation(const SutName& sut, const std::string& credential);
    Result<void> settle_credential(const SutName& sut, const std::string& credential);
    void restore_users();
    void look_at_certificate(SteadyTime now);
    void look_at_authority(SteadyTime now);
    [[nodiscard]] std::string broker_word() const;
    void warn_if_open() const;

    // bus.cpp
    void hear(SteadyTime now);
    void hear(const mqtt::Message& message, SteadyTime now);
    void hear_fleet(std::string_view rest, const mqtt::Message& message, SteadyTime now);
    void hear_agent(const SutName& sut, std::string_view level, const mqtt::Message& message, SteadyTime now);
    void hear_jobs(const SutName& sut, const std::string& payload);
    void release(const SutName& sut);
    Result<std::string> obey(std::string_view verb, const std::string& argument, SteadyTime now);
    Result<std::string> obey(std::string_view verb, const SutOrder& order);
    Result<std::string> purge(const SutOrder& order);
    [[nodiscard]] Result<std::string> conf_text(const SutName& sut) const;
    void report(SteadyTime now);
    void hold_jobs(SteadyTime now);
    void report_fleet();
    void report_sut(const SutName& sut);
    void correct_the_dead(const SutName& sut);
    void say_offline(const SutName& sut);
    void stand_in_for(const SutName& sut);
    void clear_retired(SteadyTime now);
    bool begin_clearing(const SutName& sut, SteadyTime now);
    bool clear_purged(const SutName& sut, SteadyTime now);
    [[nodiscard]] std::optional<PoolSut> as_pool_sut(const SutName& sut) const;
    void say(const Event& event);
    void publish(std::string topic, std::string payload, bool retain);

    const Settings settings_;
    const Topics topics_;
    sys::Wake wake_;
    sys::Signals signals_;
    sys::LockFile lock_;
    std::mutex changes_mutex_;
    std::map<std::string, std::string> changes_;  ///< told by the engine's events: SUT, container id; "" is anything
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<EngineEvents> events_;
    std::optional<sys::DirWatch> watch_;
    ConfFolder confs_;
    ContextFolder contexts_;
    ImageBook images_;
    SecretStore secrets_;
    Registrar registrar_;
    mqtt::Board board_;
    SaidAgain said_again_{topics_};
    std::unique_ptr<mqtt::Session> session_;
    std::unique_ptr<Pools> pools_;

    Fleet fleet_;
    bool found_known_ = false;  ///< false while the engine has not answered: unknown, never empty
    bool looked_at_all_ = false;  ///< once in this life
    std::string engine_trouble_;
    SteadyTime next_look_{};
    bool look_runs_ = false;  ///< at the whole fleet
    /// What the looks at one SUT have been.
    struct Looks {
        std::uint64_t newest = 0;                    ///< that was taken
        std::optional<std::uint64_t> settles_at{};   ///< an action has ended: it is busy until a look from then on
        unsigned failures = 0;
    };
    std::map<SutName, Looks> looks_;
    std::set<std::pair<SteadyTime, SutName>> looks_again_;
    struct UnderWay {
        bool retry = false;
        std::set<std::string> changed{};  ///< History::changed, which it settles
        Asked asked{};                    ///< History::asked, which it does
    };
    std::map<SutName, UnderWay> under_way_;       ///< actions
    std::map<SutName, LastAction> last_actions_;
    ActionHistory actions_;
    std::map<SutName, std::string> evidence_;
    std::map<SutName, SteadyTime> told_to_hold_;
    std::optional<SteadyTime> own_rotation_at_;
    std::optional<SteadyTime> link_up_since_;
    std::uint64_t epoch_ = 0;
    std::map<SutName, SteadyTime> clearing_;  ///< retained topics of a removed SUT, until the time
    std::set<SutName> purged_;                ///< of clearing_: made anew after it, not before
    std::minstd_rand random_{std::random_device{}()};
    std::string last_trouble_;
    std::set<SutName> unregistered_;  ///< the broker's files could not be written
    SteadyTime register_again_at_{};
    SteadyTime fleet_report_at_{};
    SteadyTime look_for_gone_at_{};
    std::map<JobId, std::optional<SteadyTime>> asked_gone_;  ///< and when again; nothing: there is no answer yet
    SteadyTime certificate_look_at_{};
    std::string agent_ca_;     ///< what is given to agents to check it by; empty: no TLS
    std::string authority_trouble_;
    SteadyTime authority_look_at_{};
    std::string certificate_;  ///< how long it lasts
    bool stopping_ = false;

    std::mutex metrics_mutex_;
    Metrics metrics_;

    SessionEnder sessions_;
    std::unique_ptr<Executor> executor_;  ///< these last: their threads use the engine and the wake
    std::unique_ptr<Lookout> lookout_;
    std::unique_ptr<ImageSupply> supply_;
    std::unique_ptr<JournalReader> journals_;
    std::unique_ptr<MetricsServer> metrics_server_;
};

[[nodiscard]] SutConf with_image(const ContextFolder& contexts, SutConf conf);
/// What of its context keeps a conf from being acted on; empty: nothing.
[[nodiscard]] std::string context_trouble(const ContextFolder& contexts, const Settings& settings, const SutConf& conf);
/// What of itself or its context does.
[[nodiscard]] std::string trouble_of(const ContextFolder& contexts, const Settings& settings, const ConfFile& file);
/// What of the folder is not acted on, and why: a line each, for a plan.
[[nodiscard]] std::string errors_in(const ConfFolder& confs, const ContextFolder& contexts, const Settings& settings);

inline constexpr std::chrono::seconds k_look_again{30};  ///< at the whole fleet, for an event that was lost

}  // namespace sutfleet
