#include "conf/sut_conf_origins.hpp"

#include <algorithm>

#include "conf/sut_conf_sections.hpp"
#include "core/duration.hpp"
#include "core/one_line.hpp"

namespace sutfleet {
namespace {

using conf::Kind;
using conf::Node;

constexpr std::size_t k_value_limit = 200;
constexpr std::size_t k_key_limit = 200;
/// Aliases share nodes, so that a small text can be a tree without end.
constexpr std::size_t k_most_nodes = 2000;

/// A list without maps in it, as YAML would write it in one line.
std::string flat(const Node& list) {
    std::string out = "[";
    for (const auto& item : list.items) {
        out += (out.size() > 1 ? ", " : "") + (item->kind == Kind::scalar ? item->text : conf::describe(*item));
        if (out.size() > k_value_limit) break;
    }
    return out + "]";
}

/// Walks a tree, and gives up where it is larger than any conf that a person wrote.
class Lister {
  public:
    void map(const Node& map, const std::string& path) {
        for (const auto& [name, value] : map.entries) value_of(*value, name->line, path + name->text);
    }
    std::vector<ConfKey> take() { return std::move(out_); }

  private:
    void value_of(const Node& node, int line, const std::string& key) {
        if (++nodes_ > k_most_nodes || key.size() > k_key_limit) return;
        if (node.kind == Kind::map) return map(node, key + ".");
        const bool has_maps = node.kind == Kind::sequence &&
                              std::ranges::any_of(node.items, [](const auto& item) { return item->kind == Kind::map; });
        for (std::size_t i = 0; has_maps && i < node.items.size(); ++i)
            value_of(*node.items[i], node.items[i]->line, key + "[" + std::to_string(i) + "]");
        if (has_maps) return;
        const bool hidden = key.starts_with("env.");
        const auto text = hidden ? "…" : node.kind == Kind::sequence ? flat(node) : node.text;
        out_.push_back({one_line(key, k_key_limit), one_line(text, k_value_limit), line});
    }

    std::vector<ConfKey> out_;
    std::size_t nodes_ = 0;
};

/// Where two trees differ; `nullptr` where one has nothing.
class Comparison {
  public:
    void look_at(const Node* before, const Node* after, const std::string& key) {
        if (++nodes_ > k_most_nodes) return;
        const bool maps = (is_map(before) || before == nullptr) && (is_map(after) || after == nullptr);
        if (!maps || key.size() > k_key_limit) {
            if (!equal(before, after)) out_.insert(one_line(key, k_key_limit));
            return;
        }
        const auto prefix = key.empty() ? key : key + ".";
        for (const auto* map : {before, after})
            if (map != nullptr)
                for (const auto& [name, value] : map->entries) {
                    if (map == after && find(before, name->text) != nullptr) continue;  // compared already
                    look_at(find(before, name->text), find(after, name->text), prefix + name->text);
                }
    }
    std::set<std::string> take() { return std::move(out_); }

  private:
    static bool is_map(const Node* node) { return node != nullptr && node->kind == Kind::map; }
    static const Node* find(const Node* map, std::string_view name) {
        if (map == nullptr) return nullptr;
        const auto at = std::ranges::find_if(map->entries, [&](const auto& entry) { return entry.first->text == name; });
        return at == map->entries.end() ? nullptr : at->second.get();
    }
    bool equal(const Node* before, const Node* after) {
        if (before == nullptr || after == nullptr) return before == after;
        if (++nodes_ > k_most_nodes) return false;
        const auto same = [this](const conf::NodePtr& one, const conf::NodePtr& other) { return equal(one.get(), other.get()); };
        const auto same_entry = [&](const auto& one, const auto& other) {
            return same(one.first, other.first) && same(one.second, other.second);
        };
        return before->kind == after->kind && before->text == after->text && before->plain == after->plain &&
               std::ranges::equal(before->items, after->items, same) && std::ranges::equal(before->entries, after->entries, same_entry);
    }

    std::set<std::string> out_;
    std::size_t nodes_ = 0;
};

std::string optional_text(const std::optional<std::chrono::milliseconds>& value, std::string_view word) {
    return value ? format_duration(*value) : std::string(word);
}

struct Default {
    std::string_view key;
    std::string value;
    std::string_view testflinger;  ///< that program's key for the same
};

std::vector<Default> defaults(const SutName& name) {
    const SutConf conf;
    const auto& agent = conf.agent;
    return {{"enabled", "true", ""},
            {"restart", "on-failure", ""},
            {"queues", "[" + name.str() + "]", "job_queues"},
            {"timeouts.job", format_duration(agent.timeouts.job), "global_timeout"},
            {"timeouts.output", format_duration(agent.timeouts.output), "output_timeout"},
            {"timeouts.stop", format_duration(agent.timeouts.stop), ""},
            {"timeouts.queue", optional_text(agent.timeouts.queue, "none"), ""},
            {"health.heartbeat", format_duration(agent.health.heartbeat), ""},
            {"health.max_age", format_duration(agent.health.max_age), ""},
            {"health.interval", optional_text(agent.health.interval, "auto"), ""},
            {"health.silence", optional_text(agent.health.silence, "off"), ""},
            {"health.on_unhealthy", "restart", ""},
            {"jobs.keep", format_duration(agent.jobs.keep), ""},
            {"jobs.max_bytes", std::to_string(agent.jobs.max_bytes), ""},
            {"jobs.protected", "[provision]", ""},
            {"log.max_bytes", std::to_string(agent.log.max_bytes), ""},
            {"log.keep", std::to_string(agent.log.keep), ""}};
}

}  // namespace

std::vector<ConfKey> conf_keys(const SutName& name, std::string_view text) {
    const auto tree = conf::parse_tree(text);
    if (!tree || (*tree)->kind != Kind::map) return {};
    Lister lister;
    lister.map(**tree, "");
    auto out = lister.take();
    const auto is_set = [&](std::string_view key) {
        return std::ranges::any_of(out, [&](const ConfKey& one) { return one.line != 0 && one.key == key; });
    };
    for (auto& each : defaults(name))
        if (!is_set(each.key) && !is_set(each.testflinger))
            out.push_back({std::string(each.key), std::move(each.value), 0});
    return out;
}

std::set<std::string> changed_keys(std::string_view before, std::string_view after) {
    const auto old = conf::parse_tree(before), fresh = conf::parse_tree(after);
    if (!old || !fresh || (*old)->kind != Kind::map || (*fresh)->kind != Kind::map) return {};
    Comparison comparison;
    comparison.look_at(old->get(), fresh->get(), "");
    return comparison.take();
}

std::string to_text(std::string_view file, const std::vector<ConfKey>& keys) {
    std::string out;
    for (const auto& each : keys) {
        const auto origin = each.line == 0 ? std::string("default") : std::string(file) + ":" + std::to_string(each.line);
        out += origin + "\t" + each.key + "\t" + each.value + "\n";
    }
    return out;
}

}  // namespace sutfleet
