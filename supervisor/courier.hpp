#pragma once
// Takes deliveries of several SUTs to the engine in one trip: a helper container costs as much as an agent's own, and while
// one trip is under way the next fills up. A trip that fails is made again for each of its SUTs alone, so that none fails
// for another. Threads: any; the caller waits for its own delivery.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <vector>

#include "engine.hpp"

namespace sutfleet {

class Courier {
  public:
    Courier(Engine& engine, std::map<std::string, std::string> labels) : engine_(engine), labels_(std::move(labels)) {}
    Result<void> deliver(const std::string& image, std::vector<Engine::Delivery> deliveries);

  private:
    struct Parcel {
        std::string image;
        std::vector<Engine::Delivery> deliveries;
        bool done = false;
        Result<void> result{};
    };
    using Load = std::vector<std::shared_ptr<Parcel>>;
    void make_trip(const Load& load);

    Engine& engine_;
    const std::map<std::string, std::string> labels_;
    std::mutex mutex_;  ///< guards all below, and the parcels' results
    std::condition_variable arrived_;
    Load waiting_;
    std::size_t trips_ = 0;
};

inline constexpr std::size_t k_trips = 2;  ///< at once: a second one goes on when the first hangs

}  // namespace sutfleet
