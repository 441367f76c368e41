#pragma once
// Does what the plan says, a few SUTs at a time on threads of its own, so that a slow one delays no other. It takes
// no decisions: a failure is an outcome, and the next pass looks again.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "container_spec.hpp"
#include "courier.hpp"
#include "engine.hpp"
#include "reconcile.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

inline constexpr std::size_t k_workers = 32;       ///< actions under way at once: most wait for a delivery, a start, an end
inline constexpr std::size_t k_retry_workers = 4;  ///< of them, at most, for SUTs whose last action failed
inline constexpr std::size_t k_starts = 8;         ///< containers made and started at once: with more the engine gets no faster

/// An action with all that it needs, copied: the confs may change meanwhile.
struct Task {
    Action action;
    ConfFile file{};         ///< of create, recreate and deliver
    BrokerAccess access;
    std::string delivery_hash{};
    std::string container{}; ///< id of the found one, empty when there is none
    std::string programs{};  ///< of a deliver: the build of ours that the found one has
    std::chrono::seconds stop_timeout{20};
    bool evidence = false;   ///< of why it is started again is to be kept
    bool hung = false;       ///< restart by KILL: a stopped process takes no TERM
    bool retry = false;      ///< its last action failed: it shares nothing with others now
};

struct Outcome {
    Action action;
    Result<void> result;
    std::string delivered_hash;             ///< when something was delivered
    std::optional<ProbeOutcome> probe;
    std::string evidence;                   ///< JSON, of a restart
    bool image_missing = false;             ///< of its context: nothing was done
    std::string credential{};               ///< that was delivered
};

class Executor {
    /// Not std::counting_semaphore: that of GCC 12 can miss a wake (GCC bug 104928).
    class StartSlots {
      public:
        void acquire();
        void release();

      private:
        std::mutex mutex_;
        std::condition_variable freed_;
        std::size_t free_ = k_starts;
    };
    struct FreeSlot { void operator()(StartSlots* slots) const { slots->release(); } };
    using StartTurn = std::unique_ptr<StartSlots, FreeSlot>;

  public:
    Executor(const Settings& settings, Engine& engine, const sys::Wake& owner);
    ~Executor();
    void submit(Task task);
    std::vector<Outcome> take();
    /// By which a container that is made next chooses the interval of its probes.
    void set_fleet_size(std::size_t agents) { fleet_size_ = agents; }

  private:
    void work(const std::stop_token& stop);
    Outcome perform(const Task& task);
    Result<void> create(const Task& task, Outcome& outcome);
    Result<void> deliver(const Task& task, Outcome& outcome);
    /// @return empty, unless a start follows
    Result<Courier::Start> deliver(const Task& task, Outcome& outcome, const Owner& who, bool starts);
    Result<Courier::Start> send(const Task& task, const std::string& image, std::vector<Engine::Delivery> deliveries, bool starts);
    /// Waits for it; one whose last action failed takes none from others.
    StartTurn turn_to_start(const Task& task);
    [[nodiscard]] std::string secrets_record(const SutName& sut) const;
    Result<Engine::Delivery> begin_secrets(const SutName& sut, const ConfFile& file, const std::string& generation, Owner who);
    void end_secrets(const SutName& sut, const ConfFile& file, const std::string& generation);
    Result<void> write_secrets_record(const SutName& sut, const PastSecrets& past) const;
    Result<void> hand_over_state(const SutName& sut, const SutConf& conf, Owner to);
    Result<void> start(const Task& task, Outcome& outcome);
    Result<void> restart(const Task& task, Outcome& outcome);
    Result<void> remove(const Task& task, bool with_conf);
    /// What was delivered: conf and secrets.
    Result<void> take_back(const SutName& sut);
    Result<void> purge(const Task& task);
    Result<bool> lacks_image(const Task& task);
    Result<void> ensure_programs();
    int engine_cpus();  ///< asked once
    Result<Owner> owner(const SutConf& conf);
    std::string gather_evidence(const Task& task);
    /// Before it is started again: after that it is gone.
    void keep_evidence(const Task& task, Outcome& outcome);

    const Settings& settings_;
    Engine& engine_;
    const sys::Wake& owner_;
    Courier courier_;
    StartSlots start_slots_;
    std::string build_;
    std::atomic<int> cpus_{0};
    std::atomic<std::size_t> fleet_size_{1};
    std::mutex programs_mutex_;  ///< one delivery of the programs at a time
    bool programs_there_ = false;
    std::mutex mutex_;  ///< guards tasks_ and outcomes_
    std::condition_variable_any added_;
    std::deque<Task> tasks_;
    std::vector<Outcome> outcomes_;
    std::vector<std::jthread> workers_;
};

}  // namespace sutfleet
