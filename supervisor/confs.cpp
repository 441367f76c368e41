#include "confs.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "conf/sut_conf_yaml.hpp"
#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::string_view k_ending = ".conf";
constexpr std::size_t k_companion_limit = 1024 * 1024;
constexpr std::size_t k_companions_limit = 8 * 1024 * 1024;

std::string explain(const std::string& file, const std::vector<ConfError>& errors) {
    std::string out;
    for (const auto& error : errors) out += (out.empty() ? "" : "\n") + to_string(file, error);
    return out;
}

/// The SUT's conf and its companions, `<sut>.*` and `<sut>_*`, of the sorted `names`.
std::vector<std::string> files_of(const SutName& sut, const std::vector<std::string>& names) {
    std::vector<std::string> out;
    for (const char separator : {'.', '_'}) {
        const auto prefix = sut.str() + separator;
        for (auto at = std::ranges::lower_bound(names, prefix); at != names.end() && at->starts_with(prefix); ++at)
            out.push_back(*at);
    }
    return out;
}

}  // namespace

std::optional<SteadyTime> ConfFolder::scan(SteadyTime now) {
    complaints_.clear();
    const auto names = sys::list_folder(folder_);
    if (!names) {
        complaints_[folder_] = names.error().message;
        return now + std::chrono::seconds{2};
    }
    const bool first = !std::exchange(known_, true);
    std::set<SutName> present;
    for (const auto& name : *names) {
        if (!name.ends_with(k_ending) || name.front() == '.') continue;
        auto sut = SutName::parse(name.substr(0, name.size() - k_ending.size()));
        if (!sut)
            complaints_[name] = sut.error().message;
        else
            present.insert(*sut);
    }
    std::optional<SteadyTime> again;
    const auto look_again = [&](SteadyTime at) { again = again ? std::min(*again, at) : at; };
    for (const auto& sut : present) {
        absent_since_.erase(sut);
        const auto own = files_of(sut, *names);
        auto& stamps = stamps_[sut];
        const auto fresh = stamp(own);
        if (fresh == stamps.taken) continue;
        if (fresh != stamps.seen) stamps.seen = fresh, stamps.seen_at = now;
        if (!first && now - stamps.seen_at < k_settled) {
            look_again(stamps.seen_at + k_settled);
            continue;
        }
        stamps.taken = fresh;
        read(sut, own);
    }
    for (auto at = files_.begin(); at != files_.end();) {
        if (present.contains(at->first)) {
            ++at;
            continue;
        }
        const auto since = absent_since_.try_emplace(at->first, now).first->second;
        if (now - since < k_absence) {
            look_again(since + k_absence);
            ++at;
            continue;
        }
        absent_since_.erase(at->first);
        stamps_.erase(at->first);
        at = files_.erase(at);
    }
    return again;
}

std::string ConfFolder::stamp(const std::vector<std::string>& names) const {
    std::string out;
    for (const auto& name : names) out += name + " " + sys::file_stamp(folder_ + "/" + name) + "\n";
    return out;
}

void ConfFolder::read(const SutName& sut, const std::vector<std::string>& names) {
    auto& file = files_[sut];
    const auto name = sut.str() + std::string(k_ending);
    const auto text = sys::read_file(folder_ + "/" + name, k_conf_limit);
    if (!text) {
        file.error = text.error().message;
        return;
    }
    auto decoded = decode_sut_conf(sut, *text);
    if (!decoded) {
        file.error = explain(name, decoded.error());
        return;
    }
    file.conf = *std::move(decoded);
    file.error.clear();
    file.companions.clear();
    std::size_t total = 0;
    for (const auto& other : names) {
        auto content = sys::read_file(folder_ + "/" + other, k_companion_limit);
        if (!content) continue;  // a sub-folder, or gone meanwhile
        total += content->size();
        if (total > k_companions_limit) {
            file.error = name + ": its companions are larger than 8 MiB together";
            return;
        }
        file.companions.push_back({other, *std::move(content)});
    }
}

}  // namespace sutfleet
