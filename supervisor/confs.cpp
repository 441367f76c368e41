#include "confs.hpp"

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

bool is_companion(const std::string& name, const SutName& sut) {
    const auto& stem = sut.str();
    return name.size() > stem.size() && name.starts_with(stem) && (name[stem.size()] == '.' || name[stem.size()] == '_');
}

}  // namespace

std::optional<SteadyTime> ConfFolder::scan(SteadyTime now) {
    complaints_.clear();
    const auto names = sys::list_folder(folder_);
    if (!names) {
        complaints_[folder_] = names.error().message;
        return now + std::chrono::seconds{2};
    }
    known_ = true;
    std::map<SutName, bool> present;
    for (const auto& name : *names) {
        if (!name.ends_with(k_ending) || name.front() == '.') continue;
        auto sut = SutName::parse(name.substr(0, name.size() - k_ending.size()));
        if (!sut)
            complaints_[name] = sut.error().message;
        else
            present[*sut] = true;
    }
    for (const auto& [sut, yes] : present) {
        absent_since_.erase(sut);
        read(sut, *names);
    }
    std::optional<SteadyTime> again;
    for (auto at = files_.begin(); at != files_.end();) {
        if (present.contains(at->first)) {
            ++at;
            continue;
        }
        const auto since = absent_since_.try_emplace(at->first, now).first->second;
        if (now - since < k_absence) {
            again = again ? std::min(*again, since + k_absence) : since + k_absence;
            ++at;
            continue;
        }
        absent_since_.erase(at->first);
        at = files_.erase(at);
    }
    return again;
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
        if (!is_companion(other, sut)) continue;
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
