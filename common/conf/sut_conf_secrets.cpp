#include "conf/sut_conf_sections.hpp"
#include "core/agent_files.hpp"
#include "core/secret_rules.hpp"

namespace sutfleet::conf {
namespace {

/// No message shows what was found: somebody may have written a value there.
class SecretsReader {
  public:
    SecretsReader(MapReader& root, SutConf& out) : root_(root), out_(out) {}

    void read(const Node& node) {
        if (node.kind != Kind::sequence && node.kind != Kind::map)
            return root_.note(node, "'secrets': expected a list of keys, or a map of keys to names of kept secrets");
        for (const auto& item : node.items) add(*item, *item, item->text);
        for (const auto& [key, name] : node.entries) add(*key, *name, name->kind == Kind::null ? key->text : name->text);
        if (out_.secrets.size() > k_secrets_most)
            root_.note(node, "'secrets': expected at most " + std::to_string(k_secrets_most) + " of them");
    }

  private:
    void add(const Node& at, const Node& value, const std::string& name) {
        const auto& key = at.text;
        if (at.kind != Kind::scalar || !is_secret_key(key))
            return root_.note(at, "'secrets': expected " + std::string(k_secret_key_rule) + "; the value is kept by `sutctl secret set`");
        if ((value.kind != Kind::scalar && value.kind != Kind::null) || !is_secret_key(name))
            return root_.note(at, "'secrets." + key + "': expected the name of a kept secret, " + std::string(k_secret_key_rule) +
                                      ", and no value: that is kept by `sutctl secret set`");
        if (!out_.secrets.emplace(key, name).second) return root_.note(at, "'secrets." + key + "' is there twice");
        if (!out_.agent.env.try_emplace(key + "_FILE", std::string(agent_files::k_secrets) + "/" + key).second)
            root_.note(at, "'secrets." + key + "' sets " + key + "_FILE: expected no such name in 'env'");
    }

    MapReader& root_;
    SutConf& out_;
};

}  // namespace

void read_secrets(MapReader& root, SutConf& out) {
    if (const auto* node = root.take("secrets")) SecretsReader(root, out).read(*node);
}

}  // namespace sutfleet::conf
