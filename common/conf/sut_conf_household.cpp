#include <algorithm>
#include <set>

#include "conf/sut_conf_sections.hpp"
#include "core/ids.hpp"
#include "core/topics.hpp"

namespace sutfleet::conf {
namespace {

using namespace std::chrono_literals;

constexpr Range k_every{1s, 24h * 365};
constexpr std::size_t k_items = 100;  ///< of one kind
constexpr std::size_t k_url_limit = 2048;

using Names = std::set<std::string, std::less<>>;

std::string read_name(MapReader& map, Names& seen) {
    const auto* node = map.take("name");
    if (node == nullptr) return {};
    if (node->kind != Kind::scalar || !is_item_name(node->text))
        map.wrong(*node, "name", "a name of letters, digits, '_' and '-'");
    else if (!seen.insert(node->text).second)
        map.wrong(*node, "name", "a name that no earlier item of the list has");
    return node->text;
}

Command read_command(MapReader& map, std::string_view key) {
    std::optional<Command> command;
    map.command(key, command);
    return command.value_or(Command{});
}

bool is_url(std::string_view text) {
    const auto rest = text.starts_with("http://")    ? text.substr(7)
                      : text.starts_with("https://") ? text.substr(8)
                                                     : std::string_view();
    return !rest.empty() && rest.front() != '/' && text.size() <= k_url_limit &&
           std::ranges::none_of(rest, [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == '\x7f'; });
}

Probe read_probe(MapReader& map, Names& seen) {
    Probe out;
    out.name = read_name(map, seen);
    const auto* name = map.take("name");
    if (name != nullptr && is_own_level(out.name))
        map.wrong(*name, "name", "a name that is not a topic of the agent itself");
    map.text("url", out.url);
    const auto* url = map.take("url");
    if (url != nullptr && url->kind == Kind::scalar && !is_url(out.url))
        map.wrong(*url, "url", "an address that begins with http:// or https://");
    map.duration("every", k_every, out.every);
    map.duration("timeout", {1ms, 1h}, out.timeout);
    return out;
}

Renewal read_renewal(MapReader& map, Names& seen) {
    Renewal out{read_name(map, seen), read_command(map, "run"), {}};
    map.duration("every", k_every, out.every);
    return out;
}

/// The list's items, each by `read`; the names of one list differ.
template <class Item, class Read>
void read_items(MapReader& root, std::string_view key, const std::vector<std::string_view>& must, std::vector<Item>& out,
                const Read& read) {
    Names seen;
    root.sections(key, must, [&](MapReader& map) { out.push_back(read(map, seen)); });
    const auto* node = root.take(key);
    if (out.size() > k_items) root.wrong(*node, key, "at most " + std::to_string(k_items) + " items");
}

}  // namespace

void read_household(MapReader& root, HouseholdRules& out) {
    read_items(root, "init", {"name", "run"}, out.init, [](MapReader& map, Names& seen) {
        return InitStep{read_name(map, seen), read_command(map, "run")};
    });
    read_items(root, "services", {"name", "command"}, out.services, [](MapReader& map, Names& seen) {
        return Service{read_name(map, seen), read_command(map, "command")};
    });
    read_items(root, "renew", {"name", "run", "every"}, out.renewals, read_renewal);
    read_items(root, "probes", {"name", "url"}, out.probes, read_probe);
}

}  // namespace sutfleet::conf
