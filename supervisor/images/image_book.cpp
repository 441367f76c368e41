#include "image_book.hpp"

#include <algorithm>
#include <utility>

namespace sutfleet {

void ImageBook::want(const std::string& context, const std::string& image, const SutName& sut) {
    auto& entry = entries_[context];
    if (!entry.since) entry.image = image;
    entry.waiting.insert(sut);
}

std::optional<std::string> ImageBook::leave(const SutName& sut, const std::string& keep) {
    for (auto at = entries_.begin(); at != entries_.end(); ++at) {
        if (at->first == keep || at->second.waiting.erase(sut) == 0 || !at->second.waiting.empty()) continue;
        if (at->second.since) {
            at->second.anew = at->second.image;  // for whoever comes before it has ended
            return at->first;
        }
        entries_.erase(at);
        return std::nullopt;
    }
    return std::nullopt;
}

bool ImageBook::retry(const std::string& context, const std::string& image) {
    const auto found = entries_.find(context);
    if (found == entries_.end()) return false;
    auto& entry = found->second;
    entry.failures = 0;
    entry.not_before = {};
    if (entry.since)
        entry.anew = image;
    else
        entry.image = image;
    return entry.since.has_value();
}

bool ImageBook::is_begun(const std::string& context) const {
    const auto found = entries_.find(context);
    return found != entries_.end() && found->second.since.has_value();
}

bool ImageBook::waits(const SutName& sut) const {
    return std::ranges::any_of(entries_, [&](const auto& one) { return one.second.waiting.contains(sut); });
}

bool ImageBook::is_made(const std::string& image) const {
    return std::ranges::any_of(entries_, [&](const auto& one) { return one.second.since && one.second.image == image; });
}

std::vector<std::string> ImageBook::begin(SteadyTime now) {
    std::vector<std::string> out;
    for (auto& [name, entry] : entries_) {
        if (entry.since || entry.waiting.empty() || entry.not_before > now || is_made(entry.image)) continue;
        entry.since = now;
        entry.doing = "image " + entry.image + " waits for its turn";
        out.push_back(name);
    }
    return out;
}

bool ImageBook::is_outdated(const std::string& context) const {
    const auto found = entries_.find(context);
    return found != entries_.end() && found->second.anew.has_value();
}

void ImageBook::says(const std::string& context, std::string doing) {
    if (const auto found = entries_.find(context); found != entries_.end()) found->second.doing = std::move(doing);
}

std::set<SutName> ImageBook::end(const std::string& context, const std::string& error, SteadyTime now, double random01) {
    const auto found = entries_.find(context);
    if (found == entries_.end()) return {};
    auto& entry = found->second;
    auto waited = entry.waiting;
    if (error.empty() || waited.empty()) {
        entries_.erase(found);
        return waited;
    }
    entry.since.reset();
    if (entry.anew) {
        entry.image = *std::exchange(entry.anew, std::nullopt);
        entry.error.clear();
        return waited;
    }
    entry.error = error;
    entry.not_before = now + with_half_jitter(backoff(k_failed_images, ++entry.failures), random01);
    return waited;
}

std::set<SutName> ImageBook::waiting(const std::string& context) const {
    const auto found = entries_.find(context);
    return found == entries_.end() ? std::set<SutName>{} : found->second.waiting;
}

std::optional<ImageWait> ImageBook::wait_of(const std::string& context) const {
    const auto found = entries_.find(context);
    if (found == entries_.end()) return std::nullopt;
    const auto& entry = found->second;
    if (entry.since) return ImageWait{entry.doing, entry.since};
    if (!entry.error.empty()) return ImageWait{"image missing: " + entry.error + "; it is tried again", std::nullopt};
    return ImageWait{"image missing: " + entry.image, std::nullopt};
}

std::optional<SteadyTime> ImageBook::due() const {
    std::optional<SteadyTime> out;
    for (const auto& [name, entry] : entries_)
        if (!entry.since && !entry.waiting.empty() && !is_made(entry.image)) out = out ? std::min(*out, entry.not_before) : entry.not_before;
    return out;
}

}  // namespace sutfleet
