#include "template.hpp"

#include <algorithm>
#include <cctype>

namespace sutfleet::ctl {
namespace {

constexpr std::string_view k_open = "{{", k_close = "}}";
constexpr std::string_view k_lead = "# template:";

struct Place {
    std::size_t begin = 0, end = 0;
    TemplateKey key;
};

/// The next placeholder from `at` on.
std::optional<Place> next_place(std::string_view text, std::size_t at) {
    const auto begin = text.find(k_open, at);
    if (begin == std::string_view::npos) return std::nullopt;
    const auto end = text.find(k_close, begin);
    if (end == std::string_view::npos) return std::nullopt;
    const auto inside = text.substr(begin + k_open.size(), end - begin - k_open.size());
    const auto equals = inside.find('=');
    Place out{begin, end + k_close.size(), {std::string(inside.substr(0, equals)), {}}};
    if (equals != std::string_view::npos) out.key.otherwise = std::string(inside.substr(equals + 1));
    return out;
}

/// Whether it is all of a value: behind `key: ` or `- `, until the line's end.
bool stands_alone(std::string_view text, const Place& place) {
    const auto before = text.substr(0, place.begin);
    const bool ends_line = place.end == text.size() || text[place.end] == '\n';
    return ends_line && (before.ends_with(": ") || before.ends_with("- "));
}

/// Whether YAML takes it for the text that it is, and not for a comment, a map, a list …
bool is_plain(std::string_view value) {
    const auto is_fit = [](unsigned char c) { return std::isalnum(c) != 0 || std::string_view("./_-+@% ").find(static_cast<char>(c)) != std::string_view::npos; };
    return !value.empty() && std::isalnum(static_cast<unsigned char>(value.front())) != 0 && value.back() != ' ' &&
           std::ranges::all_of(value, is_fit);
}

std::string as_yaml(const std::string& value) {
    if (is_plain(value)) return value;
    std::string out = "'";
    for (const char c : value) out += c == '\'' ? std::string("''") : std::string(1, c);
    return out + "'";
}

std::string listed(const std::vector<TemplateKey>& keys) {
    std::string out;
    for (const auto& key : keys)
        out += (out.empty() ? "" : ", ") + key.name + (key.otherwise ? " (" + *key.otherwise + ")" : "");
    return out.empty() ? "none" : out;
}

std::optional<std::string> complaint(const std::vector<TemplateKey>& keys, const Values& values) {
    for (const auto& [name, value] : values)
        if (std::ranges::find(keys, name, &TemplateKey::name) == keys.end()) return "no key '" + name + "' in it";
    std::string missing;
    for (const auto& key : keys)
        if (!key.otherwise && !values.contains(key.name)) missing += " " + key.name + "=…";
    return missing.empty() ? std::nullopt : std::optional("expected" + missing);
}

}  // namespace

std::string Template::what() const {
    const auto at = text.find(k_lead);
    if (at == std::string::npos) return {};
    const auto begin = text.find_first_not_of(' ', at + k_lead.size());
    return begin == std::string::npos ? std::string() : text.substr(begin, text.find('\n', begin) - begin);
}

std::vector<TemplateKey> template_keys(std::string_view text) {
    std::vector<TemplateKey> out;
    for (auto place = next_place(text, 0); place; place = next_place(text, place->end)) {
        if (place->key.name == "name") continue;
        const auto known = std::ranges::find(out, place->key.name, &TemplateKey::name);
        if (known == out.end())
            out.push_back(std::move(place->key));
        else if (!known->otherwise)
            known->otherwise = std::move(place->key.otherwise);
    }
    return out;
}

Outcome<Values> parse_values(const std::vector<std::string>& words) {
    Values out;
    for (const auto& word : words) {
        const auto equals = word.find('=');
        const auto refuse = [&](const std::string& why) { return tl::make_unexpected(Failure{k_usage, "'" + word + "': " + why}); };
        if (equals == std::string::npos || equals == 0) return refuse("expected key=value");
        auto value = word.substr(equals + 1);
        if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7F; }))
            return refuse("expected a value of one line, without control characters");
        if (!out.emplace(word.substr(0, equals), std::move(value)).second) return refuse("the key is given twice");
    }
    return out;
}

Outcome<std::string> fill_in(const Template& from, const std::string& sut, const Values& values) {
    const auto keys = template_keys(from.text);
    if (const auto why = complaint(keys, values))
        return tl::make_unexpected(Failure{k_usage, "template '" + from.name + "': " + *why + "; its keys: " + listed(keys)});
    std::string out;
    std::size_t at = 0;
    for (auto place = next_place(from.text, 0); place; place = next_place(from.text, place->end)) {
        const auto& name = place->key.name;
        const auto given = values.find(name);
        const auto known = std::ranges::find(keys, name, &TemplateKey::name);
        const auto value = name == "name" ? sut : given != values.end() ? given->second : known->otherwise.value_or("");
        out.append(from.text, at, place->begin - at);
        out += stands_alone(from.text, *place) ? as_yaml(value) : value;
        at = place->end;
    }
    out.append(from.text, at);
    return out;
}

}  // namespace sutfleet::ctl
