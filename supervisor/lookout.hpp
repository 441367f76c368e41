#pragma once
// Looks at the engine for the supervisor on threads of its own, so that an engine that hangs, as a whole or on one
// container, delays nothing else. It looks at one SUT by one thread at a time. A look carries the number of its request:
// what it saw was so at that moment or later.

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/ids.hpp"
#include "engine.hpp"
#include "settings.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

/// Another one than us, with another state volume, has no lock in common with us. @return conflict, with its name
/// @param running the stack's supervisors, (id, name)
Result<void> refuse_a_second(const std::vector<std::pair<std::string, std::string>>& running, const Settings& settings);

struct Look {
    std::uint64_t number = 0;
    std::optional<SutName> sut;                 ///< none: at the whole fleet
    Result<std::vector<FoundContainer>> found;  ///< of one SUT: one or none
};

class Lookout {
  public:
    Lookout(const Settings& settings, Engine& engine, const sys::Wake& owner);
    ~Lookout();
    /// @return the number of the request
    std::uint64_t look_at_all();
    /// @param id of the container, empty when it is not known
    /// @param retry the last look at it failed: these leave room for others
    std::uint64_t look_at(const SutName& sut, const std::string& id, bool retry = false);
    [[nodiscard]] std::vector<Look> take();
    /// The containers that supervise this stack already: found once, at the first look at the whole fleet.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> take_supervisors();

    /// Of the engine's machine; 0 until it was asked.
    [[nodiscard]] int cpus() const { return cpus_; }

  private:
    struct Request {
        std::uint64_t number;
        std::string id;
        bool retry = false;
    };
    using Task = std::pair<std::optional<SutName>, Request>;
    void work(const std::stop_token& stop);
    /// With the lock. @return what can be begun now
    std::optional<Task> next();
    std::optional<Task> next_of(std::deque<SutName>& order);
    Look perform(const std::optional<SutName>& sut, const Request& request);
    Result<std::vector<FoundContainer>> look_closely(const SutName& sut, const std::string& id);
    /// Before anything is done: no helper is ours yet.
    Result<void> look_around();

    const Settings& settings_;
    Engine& engine_;
    const sys::Wake& owner_;
    std::atomic<int> cpus_{0};
    std::mutex mutex_;  ///< guards all below
    std::condition_variable_any added_;
    std::uint64_t last_ = 0;
    std::optional<std::uint64_t> all_;
    bool all_runs_ = false;
    bool looked_around_ = false;
    std::map<SutName, Request> wanted_;
    std::deque<SutName> fresh_, retries_;  ///< each of wanted_ once
    std::map<SutName, bool> running_;      ///< whether it is a retry
    std::vector<Look> looks_;
    std::vector<std::pair<std::string, std::string>> supervisors_;
    std::vector<std::jthread> threads_;
};

inline constexpr std::size_t k_lookers = 4;
inline constexpr std::ptrdiff_t k_retry_lookers = 2;  ///< of them, at most

}  // namespace sutfleet
