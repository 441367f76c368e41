#pragma once
// The supervisor's loop: wake -> observe -> decide -> act -> report -> wait. It owns all state on one thread; the
// executor's threads and the libraries' threads only wake it. Nothing is waited for in a fixed order.

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "confs.hpp"
#include "core/topics.hpp"
#include "docker/docker_engine.hpp"
#include "executor.hpp"
#include "mqtt/board.hpp"
#include "mqtt/session.hpp"
#include "reconcile.hpp"
#include "registrar.hpp"
#include "report.hpp"
#include "session_ender.hpp"
#include "settings.hpp"
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
    void connect();

    // supervisor.cpp
    void wait(std::optional<SteadyTime> until);
    void observe(SteadyTime now);
    void look_at_engine(SteadyTime now);
    void refuse_second();
    void note_found(const std::vector<FoundContainer>& found, SteadyTime now);
    [[nodiscard]] std::map<SutName, Wanted> wanted() const;
    void act(const Plan& plan, SteadyTime now);
    void settle(SteadyTime now);
    void settle(const Outcome& outcome, SteadyTime now);
    void remember_delivered(const SutName& sut, const std::string& hash);

    // bus.cpp
    void hear(SteadyTime now);
    void hear(const mqtt::Message& message, SteadyTime now);
    void hear_fleet(std::string_view rest, const mqtt::Message& message, SteadyTime now);
    void hear_agent(const SutName& sut, std::string_view level, const mqtt::Message& message, SteadyTime now);
    Result<std::string> obey(std::string_view verb, const std::string& argument, SteadyTime now);
    [[nodiscard]] Result<std::string> conf_text(const SutName& sut) const;
    void report(const Plan& plan, SteadyTime now);
    void report_sut(const SutName& sut, const std::map<SutName, std::string>& holds);
    void correct_the_dead(const SutName& sut);
    void clear_retired(SteadyTime now);
    void say(const Event& event);
    void publish(std::string topic, std::string payload, bool retain);

    const Settings settings_;
    const Topics topics_;
    sys::Wake wake_;
    sys::Signals signals_;
    sys::LockFile lock_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<EngineEvents> events_;
    std::optional<sys::DirWatch> watch_;
    ConfFolder confs_;
    Registrar registrar_;
    mqtt::Board board_;
    std::unique_ptr<mqtt::Session> session_;

    std::map<SutName, FoundContainer> found_;
    bool found_known_ = false;  ///< false while the engine has not answered: unknown, never empty
    std::string engine_trouble_;
    SteadyTime next_look_{};
    std::atomic<bool> engine_changed_{false};
    bool engine_checked_ = false;
    std::map<SutName, History> history_;
    std::map<SutName, LastAction> last_actions_;
    ActionHistory actions_;
    std::map<SutName, std::string> evidence_;
    std::optional<SteadyTime> link_up_since_;
    std::uint64_t epoch_ = 0;
    bool removals_released_ = false;
    std::vector<std::pair<SteadyTime, std::size_t>> fleet_sizes_;  ///< of the last minute
    std::map<SutName, SteadyTime> clearing_;  ///< retained topics of a removed SUT, until the time
    std::set<SutName> heard_;                 ///< SUTs with something retained on the broker
    std::set<SutName> reported_;              ///< SUTs with a report on the broker, also of an earlier life of ours
    std::string last_plan_;
    std::string last_trouble_;
    bool stopping_ = false;

    SessionEnder sessions_;
    std::unique_ptr<Executor> executor_;  ///< last: its threads use the engine and the wake
};

inline constexpr std::chrono::seconds k_look_again{10};

}  // namespace sutfleet
