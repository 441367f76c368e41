#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "conf/sut_conf_sections.hpp"
#include "core/image_context.hpp"

namespace sutfleet::conf {
namespace {

constexpr std::int64_t k_least_memory = 6LL * 1024 * 1024;  // the engine refuses less
constexpr std::int64_t k_most_memory = 1LL << 50;

/// Targets that belong to the product: a mount there would hide what the agent lives on.
constexpr std::array<std::string_view, 6> k_own_targets{
    "/opt/sutfleet", "/sut", "/var/lib/sutfleet", "/run/sutfleet", "/run/secrets", "/proc"};

bool is_absolute(std::string_view path) {
    return path.starts_with('/') && path.find("/../") == std::string_view::npos &&
           !path.ends_with("/..") && path.find(':') == std::string_view::npos;
}

bool is_volume_name(std::string_view name) {
    const auto is_inner = [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
    };
    return name.size() >= 2 && std::isalnum(static_cast<unsigned char>(name.front())) != 0 &&
           std::ranges::all_of(name, is_inner);
}

bool is_own(std::string_view target) {
    return target == "/" || std::ranges::any_of(k_own_targets, [&](std::string_view own) {
               return target == own || (target.starts_with(own) && target[own.size()] == '/');
           });
}

void check_mount(MapReader& map, const Node& at, const Mount& mount, std::vector<Mount>& mounts) {
    if (!is_absolute(mount.source) && !is_volume_name(mount.source))
        return map.note(at, "'" + map.full("source") +
                                "': expected an absolute path or a volume's name, found '" +
                                mount.source + "'");
    if (!is_absolute(mount.target) || is_own(mount.target))
        return map.note(at,
                        "'" + map.full("target") +
                            "': expected an absolute path that is not the agent's own, found '" +
                            mount.target + "'");
    if (std::ranges::any_of(mounts,
                            [&](const Mount& other) { return other.target == mount.target; }))
        return map.note(at,
                        "'" + map.full("target") + "': '" + mount.target + "' is mounted twice");
    mounts.push_back(mount);
}

void read_mounts(MapReader& root, std::vector<Mount>& out) {
    const auto* list = root.take("mounts");
    std::size_t index = 0;
    root.sections("mounts", {"source", "target"}, [&](MapReader& map) {
        while (index < list->items.size() && list->items[index]->kind != Kind::map) ++index;
        const auto& at = *list->items[index++];
        Mount mount;
        map.text("source", mount.source);
        map.text("target", mount.target);
        if (const auto mode = map.choice("mode", {"ro", "rw"})) mount.writable = *mode == 1;
        if (!mount.source.empty() && !mount.target.empty()) check_mount(map, at, mount, out);
    });
}

void read_cpus(MapReader& map, std::optional<double>& out) {
    const auto* node = map.take("cpus");
    if (node == nullptr) return;
    double number = 0;
    const char* end = node->text.data() + node->text.size();
    const auto [rest, error] =
        std::from_chars(node->text.data(), end, number, std::chars_format::fixed);
    if (node->kind != Kind::scalar || error != std::errc{} || rest != end ||
        !(number >= 0.01 && number <= 4096))
        return map.wrong(*node, "cpus", "a number from 0.01 to 4096");
    out = number;
}

void read_resources(MapReader& root, ContainerShape& out) {
    root.section("resources", [&](MapReader& map) {
        map.bytes("memory", k_least_memory, k_most_memory, "an amount such as 512m or 2g, at least 6m",
                  out.memory);
        read_cpus(map, out.cpus);
        map.integer("pids", 1, 4'194'304, out.pids);
    });
}

void read_devices(MapReader& root, std::vector<std::string>& out) {
    root.texts("devices", out);
    const auto* node = root.take("devices");
    if (node == nullptr || node->kind != Kind::sequence) return;
    for (const auto& item : node->items)
        if (item->kind == Kind::scalar &&
            (!item->text.starts_with("/dev/") || !is_absolute(item->text)))
            root.wrong(*item, "devices", "paths such as /dev/ttyUSB0");
}

void read_context(MapReader& root, std::string& out) {
    const auto* node = root.take("context");
    if (node == nullptr) return;
    if (node->kind != Kind::scalar || !is_context_name(node->text))
        return root.wrong(*node, "context", "the name of a context: 2 to 63 of a-z, 0-9 and '-', not 'images'");
    out = node->text;
}

void read_cap_add(MapReader& root, std::vector<std::string>& out) {
    root.texts("cap_add", out);
    const auto* node = root.take("cap_add");
    if (node == nullptr || node->kind != Kind::sequence) return;
    const auto is_fit = [](unsigned char c) { return std::isupper(c) != 0 || c == '_'; };
    for (const auto& item : node->items)
        if (item->kind == Kind::scalar && !std::ranges::all_of(item->text, is_fit))
            root.wrong(*item, "cap_add", "capabilities such as NET_ADMIN");
}

}  // namespace

void read_reference(MapReader& map, std::string_view key, std::string_view expected,
                    std::string& out) {
    const auto* node = map.take(key);
    if (node == nullptr) return;
    const auto is_fit = [](unsigned char c) {
        return std::isalnum(c) != 0 ||
               std::string_view("._-/:@").find(static_cast<char>(c)) != std::string_view::npos;
    };
    const bool fit = node->kind == Kind::scalar && !node->text.empty() &&
                     node->text.size() <= 255 &&
                     std::isalnum(static_cast<unsigned char>(node->text.front())) != 0 &&
                     std::ranges::all_of(node->text, is_fit);
    if (!fit) return map.wrong(*node, key, expected);
    out = node->text;
}

void read_container(MapReader& root, SutConf& out) {
    auto& shape = out.container;
    read_reference(root, "image", "an image such as debian:bookworm-slim", shape.image);
    read_context(root, shape.context);
    if (root.take("image") != nullptr && root.take("context") != nullptr)
        root.note(*root.take("context"),
                  "'context': expected either 'image' or 'context', found both");
    read_mounts(root, shape.mounts);
    read_devices(root, shape.devices);
    read_reference(root, "network", "the name of a network", shape.network);
    read_resources(root, shape);
    read_reference(root, "user", "a user such as 1000 or 1000:1000", shape.user);
    read_cap_add(root, shape.cap_add);
}

}  // namespace sutfleet::conf
