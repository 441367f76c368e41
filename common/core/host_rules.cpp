#include "core/host_rules.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>

namespace sutfleet {
namespace {

/// The engine, and the kernel's own: nobody allows these, whatever the lists say.
constexpr std::array<std::string_view, 10> k_never{"/var/run/docker.sock", "/run/docker.sock", "/var/run/containerd", "/run/containerd",
                                                  "/var/run/podman",      "/run/podman",      "/var/lib/docker",     "/var/lib/containers",
                                                  "/proc",                "/sys"};
/// Our own volumes, of any stack: passwords, states, secrets, programs.
constexpr std::array<std::string_view, 7> k_own_volumes{"-auth", "-broker-data", "-supervisor-state", "-portainer-data", "-conf", "-state", "-secrets"};

std::vector<std::string> items_of(std::string_view list) {
    std::vector<std::string> out;
    while (!list.empty()) {
        const auto end = std::min(list.find(','), list.size());
        auto item = list.substr(0, end);
        list.remove_prefix(std::min(list.size(), end + 1));
        while (item.starts_with(' ')) item.remove_prefix(1);
        while (item.ends_with(' ')) item.remove_suffix(1);
        if (!item.empty()) out.emplace_back(item);
    }
    return out;
}

bool matches(const std::string& pattern, std::string_view text, int flags = 0) {
    return ::fnmatch(pattern.c_str(), std::string(text).c_str(), flags) == 0;
}

/// Absolute, without `.`, `..`, empty parts and a slash at the end.
bool is_plain(std::string_view path) {
    if (!path.starts_with('/') || path == "/" || path.ends_with('/')) return false;
    while (!path.empty()) {
        path.remove_prefix(1);
        const auto end = std::min(path.find('/'), path.size());
        const auto part = path.substr(0, end);
        if (part.empty() || part == "." || part == "..") return false;
        path.remove_prefix(end);
    }
    return true;
}

bool is_below(std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

/// The beginning of a path that has as many parts as the pattern; empty when it has fewer.
std::string_view as_deep_as(std::string_view path, std::string_view pattern) {
    const auto depth = std::ranges::count(pattern, '/');
    std::size_t at = 0;
    for (std::ptrdiff_t i = 0; i < depth; ++i) {
        if (at == path.size()) return {};
        at = std::min(path.find('/', at + 1), path.size());
    }
    return path.substr(0, at);
}

/// Of those that the path is in, the deepest.
const HostRules::Path* nearest(const std::vector<HostRules::Path>& all, std::string_view path) {
    const HostRules::Path* best = nullptr;
    for (const auto& one : all) {
        const auto begin = as_deep_as(path, one.pattern);
        if (begin.empty() || !matches(one.pattern, begin, FNM_PATHNAME)) continue;
        if (best == nullptr || std::ranges::count(one.pattern, '/') > std::ranges::count(best->pattern, '/')) best = &one;
    }
    return best;
}

std::string listed(const std::vector<HostRules::Path>& all) {
    std::string out;
    for (const auto& one : all) out += (out.empty() ? "" : ", ") + one.pattern + (one.writable ? "=rw" : "");
    return out.empty() ? "none" : out;
}
std::string listed(const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all) out += (out.empty() ? "" : ", ") + one;
    return out.empty() ? "none" : out;
}

std::string plain_cap(std::string_view cap) { return std::string(cap.starts_with("CAP_") ? cap.substr(4) : cap); }

}  // namespace

std::string HostRules::refuse_mount(const Mount& mount) const {
    if (!mount.source.starts_with('/')) {
        const bool own = mount.source.find("-programs-") != std::string::npos ||
                         std::ranges::any_of(k_own_volumes, [&](auto end) { return mount.source.ends_with(end); });
        if (own) return "expected a volume that is not the fleet's own";
        const bool listed_one = std::ranges::any_of(volumes, [&](const auto& pattern) { return matches(pattern, mount.source); });
        if (mount.source.starts_with(stack + "-") || listed_one) return {};
        return "expected a volume called '" + stack + "-…', or one that SUTFLEET_ALLOW_MOUNTS has (now: " + listed(volumes) + ")";
    }
    if (!is_plain(mount.source)) return "expected an absolute path without '.', '..' and needless slashes";
    for (const auto never : k_never)
        if (is_below(mount.source, never) || is_below(never, mount.source)) return "expected a path without the engine's or the kernel's own in it";
    const auto* root = nearest(mounts, mount.source);
    const auto now = " (now: " + listed(mounts) + ")";
    if (root == nullptr) return "expected a path that SUTFLEET_ALLOW_MOUNTS has" + now;
    if (mount.writable && !root->writable) return "expected mode ro, or '" + root->pattern + "=rw' in SUTFLEET_ALLOW_MOUNTS" + now;
    // Whoever writes there could have put a link to anywhere.
    if (root->writable && as_deep_as(mount.source, root->pattern) != mount.source)
        return "expected '" + std::string(as_deep_as(mount.source, root->pattern)) + "' itself: agents may write there, and so nothing below it is taken";
    return {};
}

std::string HostRules::refuse_device(std::string_view path) const {
    if (is_plain(path) && nearest(mounts, path) != nullptr) return {};
    return "expected a device that SUTFLEET_ALLOW_MOUNTS has (now: " + listed(mounts) + ")";
}

std::string HostRules::refuse_image(std::string_view image) const {
    if (images.empty() || image == agent_image) return {};
    if (std::ranges::any_of(images, [&](const auto& pattern) { return matches(pattern, image); })) return {};
    return "expected an image that SUTFLEET_ALLOW_IMAGES has (now: " + listed(images) + ")";
}

std::string HostRules::refuse_cap(std::string_view cap) const {
    const auto name = plain_cap(cap);
    if (std::ranges::find(k_harmless_caps, std::string_view(name)) != std::end(k_harmless_caps)) return {};
    if (std::ranges::find(caps, name) != caps.end()) return {};
    return "expected one that is the container's own business, such as CHOWN or NET_BIND_SERVICE, or one that SUTFLEET_ALLOW_CAPS has (now: " + listed(caps) + ")";
}

std::string HostRules::refuse_network(std::string_view name) const {
    if (name == "none" || name == network) return {};
    if (name == "host" || name.find(':') != std::string_view::npos) return "expected a network of the engine's: never the host's or another container's";
    if (std::ranges::any_of(networks, [&](const auto& pattern) { return matches(pattern, name); })) return {};
    return "expected none, or a network that SUTFLEET_ALLOW_NETWORKS has (now: " + listed(networks) + ")";
}

Result<HostRules> parse_host_rules(const AllowLists& lists) {
    HostRules out;
    for (auto& item : items_of(lists.mounts)) {
        const bool writable = item.ends_with("=rw");
        if (writable) item.resize(item.size() - 3);
        if (is_plain(item))
            out.mounts.push_back({item, writable});
        else if (!writable && item.find('/') == std::string::npos)
            out.volumes.push_back(item);
        else
            return fail(ErrorKind::invalid_input, "SUTFLEET_ALLOW_MOUNTS: expected absolute paths without '..', with =rw behind those that agents may write, "
                                                  "or volumes' names, found '" + item + "'");
    }
    out.images = items_of(lists.images);
    out.networks = items_of(lists.networks);
    for (const auto& item : items_of(lists.caps)) {
        const auto name = plain_cap(item);
        const auto is_fit = [](char c) { return (c >= 'A' && c <= 'Z') || c == '_'; };
        if (!std::ranges::all_of(name, is_fit) || name.empty() || name == "ALL")
            return fail(ErrorKind::invalid_input, "SUTFLEET_ALLOW_CAPS: expected names of capabilities such as NET_ADMIN, found '" + item + "'");
        out.caps.push_back(name);
    }
    return out;
}

}  // namespace sutfleet
