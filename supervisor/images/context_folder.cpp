#include "context_folder.hpp"

#include "conf/context_yaml.hpp"
#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::string_view k_ending = ".yaml";

}  // namespace

std::set<std::string> ContextFolder::look(SteadyTime now) {
    std::set<std::string> changed;
    if (now < look_at_) return changed;
    look_at_ = now + k_look_at_contexts;
    const auto names = sys::list_folder(folder_);
    // A folder that cannot be read says nothing of what is in it.
    if (!names) return changed;
    std::map<std::string, Known> fresh;
    for (const auto& file : *names) {
        if (!file.ends_with(k_ending)) continue;
        const auto name = file.substr(0, file.size() - k_ending.size());
        if (!is_context_name(name)) continue;
        auto old = known_.extract(name);
        auto& one = fresh[name] = old ? std::move(old.mapped()) : Known{};
        if (read(name, one) || !old) changed.insert(name);
    }
    for (const auto& [name, gone] : known_) changed.insert(name);
    known_ = std::move(fresh);
    return changed;
}

/// @return whether it is another one now
bool ContextFolder::read(const std::string& name, Known& into) const {
    const auto file = name + std::string(k_ending), path = folder_ + "/" + file;
    bool changed = false;
    if (auto stamp = sys::file_stamp(path); stamp != into.stamp) {
        changed = true;
        into.stamp = std::move(stamp);
        into.file = {};
        const auto text = sys::read_file(path, k_conf_limit + 1);
        if (!text) into.file.error = text.error().message;
        if (auto decoded = decode_context(text.value_or("")); text && decoded)
            into.file.context = *std::move(decoded);
        else if (text)
            for (const auto& error : decoded.error())
                into.file.error += (into.file.error.empty() ? "" : "\n") + to_string("contexts/" + file, error);
    }
    auto ways = stamp_of_ways(name, into.file);
    changed = changed || ways != into.ways;
    into.ways = std::move(ways);
    return changed;
}

std::string ContextFolder::stamp_of_ways(const std::string& name, const ContextFile& file) const {
    std::string out;
    if (!file.context) return out;
    const auto own = folder_ + "/" + name;
    if (file.context->archive) out += sys::file_stamp(folder_ + "/" + std::string(k_archives) + "/" + file.context->archive->file);
    if (file.context->build) out += "\n" + sys::file_stamp(own) + "\n" + sys::file_stamp(own + "/" + file.context->build->dockerfile);
    return out;
}

ContextFile ContextFolder::find(const std::string& name) const {
    if (const auto found = known_.find(name); found != known_.end()) return found->second.file;
    return {std::nullopt, "no contexts/" + name + ".yaml: expected it in " + folder_};
}

}  // namespace sutfleet
