#include "confs.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "conf/sut_conf_origins.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "core/one_line.hpp"
#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::string_view k_ending = ".conf";
constexpr std::size_t k_companion_limit = 1024 * 1024;
constexpr std::size_t k_companions_limit = 8 * 1024 * 1024;
constexpr std::size_t k_name_told = 80;  ///< of a companion, whose name may be any bytes

std::string explain(const std::string& file, const std::vector<ConfError>& errors) {
    std::string out;
    for (const auto& error : errors) out += (out.empty() ? "" : "\n") + to_string(file, error);
    return out;
}

Result<SutName> sut_of_conf(const std::string& name) { return SutName::parse(name.substr(0, name.size() - k_ending.size())); }

const std::string* content_of(const std::vector<Companion>& companions, const std::string& name) {
    const auto at = std::ranges::find(companions, name, &Companion::name);
    return at == companions.end() ? nullptr : &at->content;
}

/// Of the conf its keys, where it is not only a comment; the companions by name.
void note_changes(const std::string& conf, const std::vector<Companion>& before, const std::vector<Companion>& after,
                  std::set<std::string>& out) {
    const auto differs = [](const auto& in, const Companion& one) {
        const auto* other = content_of(in, one.name);
        return other == nullptr || *other != one.content;
    };
    for (const auto& one : before)
        if (differs(after, one)) out.insert(one_line(one.name, k_name_told));
    for (const auto& one : after)
        if (differs(before, one)) out.insert(one_line(one.name, k_name_told));
    const auto *old = content_of(before, conf), *fresh = content_of(after, conf);
    if (old == nullptr || fresh == nullptr || *old == *fresh) return;
    auto keys = changed_keys(*old, *fresh);
    if (!keys.empty()) out.erase(conf);
    out.merge(keys);
}

bool is_conf(const std::string& name) { return name.ends_with(k_ending) && name.front() != '.'; }

}  // namespace

std::optional<SteadyTime> ConfFolder::scan(SteadyTime now) {
    complaints_.clear();
    const auto names = sys::list_folder(folder_);
    if (!names) {
        complaints_[folder_] = names.error().message;
        scan_at_ = now + std::chrono::seconds{2};
        return scan_at_;
    }
    scan_at_ = now + k_scan_all;
    first_ = !std::exchange(known_, true);
    names_ = {names->begin(), names->end()};
    touched_.clear();
    for (const auto& name : names_) {
        if (!is_conf(name)) continue;
        if (auto sut = sut_of_conf(name))
            touched_.insert(*std::move(sut));
        else
            complaints_[name] = sut.error().message;
    }
    for (const auto& [sut, file] : files_) touched_.insert(sut);
    for (const auto& sut : std::exchange(touched_, {})) look_at(sut, now);
    first_ = false;
    return again();
}

/// A companion's name begins with its SUT's, so every beginning that a SUT has is touched.
void ConfFolder::touch(const std::string& name) {
    // Such a folder is the new target of links, as Kubernetes exchanges them.
    if (name.starts_with("..")) return touch_all();
    struct stat status {};
    if (::lstat((folder_ + "/" + name).c_str(), &status) == 0)
        names_.insert(name);
    else
        names_.erase(name);
    if (is_conf(name)) {
        const auto sut = sut_of_conf(name);
        if (sut)
            touched_.insert(*sut);
        else if (names_.contains(name))
            complaints_[name] = sut.error().message;
        else
            complaints_.erase(name);
    }
    for (auto end = name.find_first_of("._"); end != std::string::npos; end = name.find_first_of("._", end + 1))
        if (const auto sut = SutName::parse(name.substr(0, end)); sut && files_.contains(*sut)) touched_.insert(*sut);
}

std::optional<SteadyTime> ConfFolder::look(SteadyTime now) {
    if (!known_ || now >= scan_at_) return scan(now);
    for (const auto& [sut, at] : pending_)
        if (at <= now) touched_.insert(sut);
    // A folder that cannot be read says nothing of what is not in it.
    if (!touched_.empty() && ::access(folder_.c_str(), R_OK | X_OK) != 0) return scan(now);
    for (const auto& sut : std::exchange(touched_, {})) look_at(sut, now);
    const auto pending = again();
    return pending ? std::min(*pending, scan_at_) : scan_at_;
}

void ConfFolder::set_secrets(const SutName& sut, const SecretValues& values, const std::string& error) {
    const auto file = files_.find(sut);
    if (file == files_.end()) return;
    auto& known = file->second;
    for (const auto& [key, value] : values)
        if (const auto old = known.secrets.find(key); old != known.secrets.end() && old->second != value) known.changed.insert("secret " + key);
    known.secrets = values;
    known.secrets_error = error;
}

std::set<std::string> ConfFolder::take_what_changed(const SutName& sut) {
    const auto file = files_.find(sut);
    return file == files_.end() ? std::set<std::string>{} : std::exchange(file->second.changed, {});
}

std::optional<SteadyTime> ConfFolder::again() const {
    if (pending_.empty()) return std::nullopt;
    return std::ranges::min_element(pending_, {}, &std::pair<const SutName, SteadyTime>::second)->second;
}

void ConfFolder::look_at(const SutName& sut, SteadyTime now) {
    pending_.erase(sut);
    if (names_.contains(sut.str() + std::string(k_ending)))
        look_at_present(sut, now);
    else
        look_at_absent(sut, now);
}

void ConfFolder::look_at_present(const SutName& sut, SteadyTime now) {
    absent_since_.erase(sut);
    const auto own = files_of(sut);
    auto& stamps = stamps_[sut];
    const auto fresh = stamp(own);
    if (fresh == stamps.taken) return;
    if (fresh != stamps.seen) stamps.seen = fresh, stamps.seen_at = now;
    if (!first_ && now - stamps.seen_at < k_settled) {
        pending_[sut] = stamps.seen_at + k_settled;
        return;
    }
    stamps.taken = fresh;
    read(sut, own);
    changed_.insert(sut);
}

void ConfFolder::look_at_absent(const SutName& sut, SteadyTime now) {
    stamps_.erase(sut);
    if (!files_.contains(sut)) return;
    const auto since = absent_since_.try_emplace(sut, now).first->second;
    if (now - since < k_absence) {
        pending_[sut] = since + k_absence;
        return;
    }
    absent_since_.erase(sut);
    files_.erase(sut);
    changed_.insert(sut);
}

std::vector<std::string> ConfFolder::files_of(const SutName& sut) const {
    std::vector<std::string> out;
    for (const char separator : {'.', '_'}) {
        const auto prefix = sut.str() + separator;
        for (auto at = names_.lower_bound(prefix); at != names_.end() && at->starts_with(prefix); ++at) out.push_back(*at);
    }
    return out;
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
    auto decoded = decode_sut_conf(sut, *text, rules_);
    if (!decoded) {
        file.error = explain(name, decoded.error());
        return;
    }
    file.conf = *std::move(decoded);
    file.error.clear();
    std::vector<Companion> companions;
    std::size_t total = 0;
    for (const auto& other : names) {
        auto content = sys::read_file(folder_ + "/" + other, k_companion_limit);
        if (!content) continue;  // a sub-folder, or gone meanwhile
        total += content->size();
        if (total > k_companions_limit) {
            file.error = name + ": its companions are larger than 8 MiB together";
            return;
        }
        companions.push_back({other, *std::move(content)});
    }
    if (!file.companions.empty()) note_changes(name, file.companions, companions, file.changed);
    file.companions = std::move(companions);
}

}  // namespace sutfleet
