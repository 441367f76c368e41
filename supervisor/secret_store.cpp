#include "secret_store.hpp"

#include "sys/file.hpp"

namespace sutfleet {
namespace {

std::string own_path(const std::string& folder, const SutName& sut, const std::string& name) {
    return folder + "/" + sut.str() + "/" + name;
}

Result<std::string> read_one(const std::string& folder, const SutName& sut, const std::string& name) {
    auto value = sys::read_file(own_path(folder, sut, name), k_secret_limit);
    if (!value && value.error().kind == ErrorKind::not_found) value = sys::read_file(folder + "/" + name, k_secret_limit);
    const auto remedy = ": sutctl secret set " + sut.str() + " " + name;
    if (!value && value.error().kind == ErrorKind::not_found) return fail(ErrorKind::invalid_input, "is missing" + remedy);
    if (!value) return fail(ErrorKind::invalid_input, "cannot be read: " + value.error().message);
    if (is_placeholder(*value)) return fail(ErrorKind::invalid_input, "is empty or a placeholder; expected its real value" + remedy);
    return value;
}

}  // namespace

Result<SecretValues> SecretStore::read(const std::string& folder, const SutName& sut, const Keys& keys) {
    SecretValues out;
    std::string trouble;
    for (const auto& [key, name] : keys) {
        auto value = read_one(folder, sut, name);
        if (value)
            out.emplace(key, *std::move(value));
        else
            trouble += (trouble.empty() ? "secret " : "; secret ") + key + " " + value.error().message;
    }
    if (!trouble.empty()) return fail(ErrorKind::invalid_input, trouble);
    return out;
}

void SecretStore::want(const SutName& sut, const Keys& keys) {
    if (keys.empty()) {
        fresh_ = entries_.erase(sut) > 0 || fresh_;
        return;
    }
    auto& entry = entries_[sut];
    if (entry.keys == keys) return;
    entry = {keys, {}};
    fresh_ = true;
}

/// A folder of a SUT is not watched: `sutctl secret` writes each file in the folder above first, which is.
void SecretStore::watch() {
    if (!watch_) {
        if (auto opened = sys::DirWatch::open(folder_)) watch_ = *std::move(opened);
        return;
    }
    const auto told = [this](const std::string&) { fresh_ = true; };
    if (watch_->drain(told)) {
        watch_.reset();
        fresh_ = true;
    }
}

std::set<SutName> SecretStore::look(SteadyTime now) {
    std::set<SutName> out;
    if (entries_.empty()) {
        watch_.reset();
        return out;
    }
    watch();  // first, then read
    if (!fresh_ && now < next_) return out;
    fresh_ = false;
    next_ = now + k_secrets_again;
    for (auto& [sut, entry] : entries_) {
        auto found = stamp(sut, entry.keys);
        if (found == entry.stamp) continue;
        entry.stamp = std::move(found);
        auto values = read(folder_, sut, entry.keys);
        entry.trouble = values ? std::string() : values.error().message;
        if (values) entry.values = *std::move(values);
        out.insert(sut);
    }
    return out;
}

std::optional<SteadyTime> SecretStore::due() const {
    return entries_.empty() ? std::nullopt : std::optional(fresh_ ? SteadyTime{} : next_);
}

const SecretValues& SecretStore::values(const SutName& sut) const {
    static const SecretValues k_none;
    const auto found = entries_.find(sut);
    return found == entries_.end() ? k_none : found->second.values;
}

std::string SecretStore::trouble(const SutName& sut) const {
    const auto found = entries_.find(sut);
    return found == entries_.end() ? std::string() : found->second.trouble;
}

std::string SecretStore::stamp(const SutName& sut, const Keys& keys) const {
    std::string out;
    for (const auto& [key, name] : keys)
        out += name + " " + sys::file_stamp(own_path(folder_, sut, name)) + " " + sys::file_stamp(folder_ + "/" + name) + "\n";
    return out;
}

}  // namespace sutfleet
