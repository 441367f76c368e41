#include "conf/sut_conf_yaml.hpp"

#include <algorithm>

#include "conf/sut_conf_sections.hpp"

namespace sutfleet {
namespace {

using conf::Kind;
using conf::MapReader;

void read_labels(MapReader& root, SutConf& out) {
    root.text("description", out.description);
    root.text_map("labels", out.labels);
    const auto* node = root.take("labels");
    if (node == nullptr || node->kind != Kind::map) return;
    for (const auto& [name, value] : node->entries)
        if (name->text.empty() || name->text.starts_with("io.sutfleet.") ||
            name->text.starts_with("com.docker."))
            root.wrong(*name, "labels", "names that do not begin with io.sutfleet. or com.docker.");
}

}  // namespace

namespace conf {

std::vector<ConfError> shown(std::vector<ConfError> errors) {
    if (errors.size() <= k_conf_errors) return errors;
    const auto more = errors.size() - k_conf_errors;
    errors.resize(k_conf_errors);
    errors.back().message += " (and " + std::to_string(more) + " more errors)";
    return errors;
}

}  // namespace conf

std::string to_string(std::string_view file, const ConfError& error) {
    return std::string(file) + ":" + std::to_string(error.line) + ":" +
           std::to_string(error.column) + ": " + error.message;
}

tl::expected<SutConf, std::vector<ConfError>> decode_sut_conf(const SutName& name,
                                                              std::string_view text, const HostRules* rules) {
    auto tree = conf::parse_tree(text);
    if (!tree) return tl::make_unexpected(conf::shown(std::move(tree.error())));
    std::vector<ConfError> errors;
    if ((*tree)->kind != Kind::map) {
        errors.push_back({(*tree)->line, (*tree)->column,
                          "expected `key: value` lines, found " + describe(**tree)});
        return tl::make_unexpected(std::move(errors));
    }
    SutConf out;
    MapReader root(*tree, "", errors);
    read_labels(root, out);
    root.boolean("enabled", out.enabled);
    conf::read_agent(root, out);
    conf::read_container(root, out);
    if (rules != nullptr) conf::check_host(root, *rules);
    conf::read_household(root, out.agent.household);
    conf::read_submit(root, out.agent.submit);
    conf::read_secrets(root, out);
    conf::read_testflinger(root, out);
    root.finish();
    if (out.agent.queues.empty()) out.agent.queues = {name.str()};
    std::ranges::sort(errors, {},
                      [](const ConfError& error) { return std::pair(error.line, error.column); });
    if (!errors.empty()) return tl::make_unexpected(conf::shown(std::move(errors)));
    return out;
}

}  // namespace sutfleet
