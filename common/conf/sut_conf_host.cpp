// What a conf asks of the host against what the stack's owner allows; a key that is wrong in form is told elsewhere.
#include "conf/sut_conf_sections.hpp"

namespace sutfleet::conf {
namespace {

class HostCheck {
  public:
    HostCheck(MapReader& root, const HostRules& rules) : root_(root), rules_(rules) {}

    void run() {
        each("mounts", [&](const Node& item) { mount(item); });
        each("devices", [&](const Node& item) { note(item, "devices", rules_.refuse_device(item.text)); });
        each("cap_add", [&](const Node& item) { note(item, "cap_add", rules_.refuse_cap(item.text)); });
        if (const auto* node = root_.take("image")) note(*node, "image", rules_.refuse_image(node->text));
        if (const auto* node = root_.take("network")) note(*node, "network", rules_.refuse_network(node->text));
    }

  private:
    template <typename Look>
    void each(std::string_view key, Look look) {
        const auto* node = root_.take(key);
        if (node != nullptr && node->kind == Kind::sequence)
            for (const auto& item : node->items) look(*item);
    }

    void mount(const Node& item) {
        Mount one;
        const Node* at = &item;
        for (const auto& [key, value] : item.entries) {
            if (key->text == "mode") one.writable = value->text == "rw";
            if (key->text != "source") continue;
            one.source = value->text;
            at = value.get();
        }
        if (!one.source.empty()) note(*at, "mounts", rules_.refuse_mount(one));
    }

    void note(const Node& at, std::string_view key, const std::string& refusal) {
        if (refusal.empty() || at.kind != Kind::scalar || at.text.empty()) return;
        root_.note(at, "'" + std::string(key) + "': " + refusal + ", found " + describe(at));
    }

    MapReader& root_;
    const HostRules& rules_;
};

}  // namespace

void check_host(MapReader& root, const HostRules& rules) { HostCheck(root, rules).run(); }

}  // namespace sutfleet::conf
