#include "said_again.hpp"

#include <utility>

namespace sutfleet {

bool SaidAgain::take(const mqtt::Message& message, SteadyTime now) {
    const auto topic = topics_.parse(message.topic);
    if (!topic || (topic->rest != k_agent && topic->rest != k_submit_status && topic->rest != k_jobs)) return false;
    const std::scoped_lock lock(mutex_);
    if (std::exchange(connection_, message.origin.number) != message.origin.number) said_.clear();
    auto& said = said_[topic->sut][topic->rest];
    if (message.payload.empty() || said != message.payload) {
        said = message.payload;
        return false;
    }
    if (topic->rest == k_agent) beats_.insert_or_assign(topic->sut, Beat{message.payload, now});
    return true;
}

std::map<SutName, SaidAgain::Beat> SaidAgain::beats() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(beats_, {});
}

void SaidAgain::forget(const SutName& sut) {
    const std::scoped_lock lock(mutex_);
    said_.erase(sut);
    beats_.erase(sut);
}

void SaidAgain::forget_all() {
    const std::scoped_lock lock(mutex_);
    said_.clear();
}

}  // namespace sutfleet
