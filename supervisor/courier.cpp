#include "courier.hpp"

#include <utility>

namespace sutfleet {

Result<void> Courier::deliver(const std::string& image, std::vector<Engine::Delivery> deliveries) {
    const auto mine = std::make_shared<Parcel>(Parcel{image, std::move(deliveries)});
    std::unique_lock lock(mutex_);
    waiting_.push_back(mine);
    while (!mine->done) {
        if (trips_ >= k_trips || waiting_.empty()) {
            arrived_.wait(lock);
            continue;
        }
        const auto load = std::exchange(waiting_, {});
        ++trips_;
        lock.unlock();
        make_trip(load);
        lock.lock();
        --trips_;
        for (const auto& parcel : load) parcel->done = true;
        arrived_.notify_all();
    }
    return mine->result;
}

void Courier::make_trip(const Load& load) {
    std::vector<Engine::Delivery> all;
    for (const auto& parcel : load) all.insert(all.end(), parcel->deliveries.begin(), parcel->deliveries.end());
    const auto together = engine_.deliver(load.front()->image, labels_, all);
    for (const auto& parcel : load)
        parcel->result = together || load.size() == 1 ? together : engine_.deliver(parcel->image, labels_, parcel->deliveries);
}

}  // namespace sutfleet
