#include "core/image_context.hpp"

#include <algorithm>

namespace sutfleet {

bool is_context_name(std::string_view name) {
    const auto is_edge = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return name.size() >= 2 && name.size() <= 63 && is_edge(name.front()) && is_edge(name.back()) && name != k_archives &&
           std::ranges::all_of(name, [&](char c) { return is_edge(c) || c == '-'; });
}

bool stays_beneath(std::string_view path) {
    if (path.find('\0') != std::string_view::npos) return false;
    for (;;) {
        const auto name = path.substr(0, path.find('/'));
        if (name.empty() || name == "." || name == "..") return false;
        if (name.size() == path.size()) return true;
        path.remove_prefix(name.size() + 1);
    }
}

std::string with_tag(std::string_view image) {
    const auto slash = image.rfind('/');
    const auto name = image.substr(slash == std::string_view::npos ? 0 : slash + 1);
    return std::string(image) + (name.find_first_of(":@") == std::string_view::npos ? ":latest" : "");
}

std::string engine_trouble(const ImageContext& context, std::string_view our_host) {
    if (context.engine.empty() || context.engine == "docker" || context.engine == our_host) return {};
    return "it is for the engine " + context.engine + ", and this stack's is docker at " + std::string(our_host) +
           ": no image is made and no container is made or changed for it; leave 'engine' out, or use a stack on that engine";
}

}  // namespace sutfleet
