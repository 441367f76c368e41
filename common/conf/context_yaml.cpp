#include "conf/context_yaml.hpp"

#include <algorithm>

#include "conf/sut_conf_sections.hpp"

namespace sutfleet {
namespace {

using conf::Kind;
using conf::MapReader;
using conf::Node;

void read_engine(MapReader& root, std::string& out) {
    const auto* node = root.take("engine");
    if (node == nullptr) return;
    const bool fit = node->kind == Kind::scalar &&
                     (node->text == "docker" || node->text == "podman" || node->text.starts_with("unix:///") ||
                      (node->text.starts_with("tcp://") && node->text.size() > 6));
    if (!fit) return root.wrong(*node, "engine", "docker, podman, unix:///path or tcp://host:port");
    out = node->text;
}

void read_path(MapReader& map, std::string_view key, std::string_view folder, std::string& out) {
    const auto* node = map.take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::scalar || !stays_beneath(node->text) || node->text.size() > 255)
        return map.wrong(*node, key, "a file within " + std::string(folder) + ", by its path from there, without '..'");
    out = node->text;
}

void read_sha256(MapReader& map, std::string& out) {
    const auto* node = map.take("sha256");
    if (node == nullptr) return;
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (node->kind != Kind::scalar || node->text.size() != 64 || !std::ranges::all_of(node->text, is_hex))
        return map.wrong(*node, "sha256", "64 digits 0-9 and a-f, as sha256sum prints them");
    out = node->text;
}

void read_archive(MapReader& root, std::optional<ImageArchive>& out) {
    const auto* node = root.take("archive");
    root.section("archive", [&](MapReader& map) {
        out.emplace();
        read_path(map, "file", "contexts/images/", out->file);
        read_sha256(map, out->sha256);
        for (const auto* must : {"file", "sha256"})
            if (map.take(must) == nullptr) map.note(*node, "'archive': expected its '" + std::string(must) + "' too");
    });
}

void read_build(MapReader& root, std::optional<ImageBuild>& out) {
    const auto* node = root.take("build");
    if (node == nullptr) return;
    if (node->kind != Kind::map) {
        const bool yes = node->plain && node->text == "true";
        if (node->kind != Kind::scalar || !node->plain || (!yes && node->text != "false"))
            return root.wrong(*node, "build", "true, false, or keys such as 'dockerfile' and 'args'");
        if (yes) out.emplace();
        return;
    }
    root.section("build", [&](MapReader& map) {
        out.emplace();
        read_path(map, "dockerfile", "the context's folder", out->dockerfile);
        map.text_map("args", out->args);
        conf::read_reference(map, "target", "the name of a stage", out->target);
        conf::read_reference(map, "network", "the name of a network, such as host", out->network);
    });
}

}  // namespace

tl::expected<ImageContext, std::vector<ConfError>> decode_context(std::string_view text) {
    auto tree = conf::parse_tree(text, {true, "keys such as 'image' and 'build'"});
    if (!tree) return tl::make_unexpected(conf::shown(std::move(tree.error())));
    const auto& top = **tree;
    if (top.kind != Kind::map)
        return tl::make_unexpected(std::vector<ConfError>{{top.line, top.column, "expected `key: value` lines, found " + conf::describe(top)}});
    ImageContext out;
    std::vector<ConfError> errors;
    MapReader root(*tree, "", errors);
    read_engine(root, out.engine);
    conf::read_reference(root, "image", "an image such as lab/agent:1", out.image);
    read_archive(root, out.archive);
    read_build(root, out.build);
    root.boolean("pull", out.pull);
    root.finish();
    const auto* image = root.take("image");
    if (image == nullptr) root.note(top, "'image' is missing: expected the image that agents run, such as lab/agent:1");
    if ((out.archive || out.build) && out.image.find('@') != std::string::npos)
        root.note(*image, "'image': expected a tag, which an archive or a build can give it, not a digest");
    std::ranges::sort(errors, {}, [](const ConfError& error) { return std::pair(error.line, error.column); });
    if (!errors.empty()) return tl::make_unexpected(conf::shown(std::move(errors)));
    out.image = with_tag(out.image);
    return out;
}

}  // namespace sutfleet
