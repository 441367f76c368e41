#include "courier.hpp"

#include <algorithm>

namespace sutfleet {

Result<void> Courier::deliver(const std::string& image, std::vector<Engine::Delivery> deliveries) {
    return send(std::make_shared<Parcel>(Parcel{image, std::move(deliveries)}));
}

Result<Courier::Start> Courier::deliver_for_start(const std::string& image, std::vector<Engine::Delivery> deliveries) {
    auto sent = send(std::make_shared<Parcel>(Parcel{image, std::move(deliveries), true}));
    Start start(*this);
    if (!sent) return fail(sent.error());
    return start;
}

Result<void> Courier::send(const std::shared_ptr<Parcel>& mine) {
    std::unique_lock lock(mutex_);
    waiting_.push_back(mine);
    while (!mine->back) {
        if (mine->left || !leaves()) {
            arrived_.wait(lock);
            continue;
        }
        const auto load = std::exchange(waiting_, {});
        for (const auto& parcel : load) {
            parcel->left = true;
            if (parcel->starts) ++starting_;
        }
        ++trips_;
        lock.unlock();
        const auto result = make_trip(load);
        lock.lock();
        --trips_;
        for (const auto& parcel : load) {
            parcel->back = true;
            parcel->alone = !result && load.size() > 1;
            parcel->result = result;
        }
        arrived_.notify_all();
    }
    lock.unlock();
    return mine->alone ? engine_.deliver(mine->image, labels_, mine->deliveries) : mine->result;
}

bool Courier::leaves() const {
    if (trips_ >= k_trips || waiting_.empty()) return false;
    return starting_ < k_enough_to_start || !std::ranges::all_of(waiting_, [](const auto& one) { return one->starts; });
}

Result<void> Courier::make_trip(const std::vector<std::shared_ptr<Parcel>>& load) {
    std::vector<Engine::Delivery> all;
    for (const auto& parcel : load) all.insert(all.end(), parcel->deliveries.begin(), parcel->deliveries.end());
    return engine_.deliver(load.front()->image, labels_, all);
}

void Courier::started() {
    const std::scoped_lock lock(mutex_);
    --starting_;
    arrived_.notify_all();
}

}  // namespace sutfleet
