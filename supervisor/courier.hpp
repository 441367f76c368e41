#pragma once
// Takes deliveries of several SUTs to the engine in one trip: a helper container costs nearly as much as an agent's own, and
// while one trip is under way the next fills up. Who is to be started next waits for company while enough others are on their
// way to their start. A trip that fails is made again for each of its SUTs alone, so that none fails for another.
// Threads: any; the caller waits for its own delivery.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine.hpp"

namespace sutfleet {

class Courier {
  public:
    /// On the way to a start, from the departure of its delivery until this ends.
    class Start {
      public:
        Start() = default;
        explicit Start(Courier& courier) : courier_(&courier) {}
        Start(Start&& other) noexcept : courier_(std::exchange(other.courier_, nullptr)) {}
        Start& operator=(Start&&) = delete;
        ~Start() { if (courier_ != nullptr) courier_->started(); }

      private:
        Courier* courier_ = nullptr;
    };

    Courier(Engine& engine, std::map<std::string, std::string> labels) : engine_(engine), labels_(std::move(labels)) {}
    /// On the next trip.
    Result<void> deliver(const std::string& image, std::vector<Engine::Delivery> deliveries);
    /// For a container that the caller makes and starts next, while it holds what this returns.
    Result<Start> deliver_for_start(const std::string& image, std::vector<Engine::Delivery> deliveries);

  private:
    struct Parcel {
        std::string image;
        std::vector<Engine::Delivery> deliveries;
        bool starts = false;
        bool left = false;  ///< with a trip
        bool back = false;
        bool alone = false;  ///< the trip with others failed
        Result<void> result{};
    };
    Result<void> send(const std::shared_ptr<Parcel>& mine);
    [[nodiscard]] bool leaves() const;
    Result<void> make_trip(const std::vector<std::shared_ptr<Parcel>>& load);
    void started();

    Engine& engine_;
    const std::map<std::string, std::string> labels_;
    std::mutex mutex_;  ///< guards all below, and the parcels' ends
    std::condition_variable arrived_;
    std::vector<std::shared_ptr<Parcel>> waiting_;
    std::size_t trips_ = 0;
    std::size_t starting_ = 0;  ///< Starts that live, or will
};

inline constexpr std::size_t k_trips = 2;  ///< at once: a second one goes on when the first hangs
inline constexpr std::size_t k_enough_to_start = 16;  ///< with so many, the engine is not idle before the next trip's are there

}  // namespace sutfleet
