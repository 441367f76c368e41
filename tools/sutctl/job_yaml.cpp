#include "job_yaml.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "conf/sut_conf_tree.hpp"
#include "job/submit_request.hpp"

namespace sutfleet::ctl {
namespace {

using conf::Kind;
using conf::Node;
using nlohmann::ordered_json;

// Testflinger reads YAML 1.1, where these are booleans too.
constexpr std::array<std::string_view, 9> k_true{"true", "True", "TRUE", "yes", "Yes",
                                                 "YES",  "on",   "On",   "ON"};
constexpr std::array<std::string_view, 9> k_false{"false", "False", "FALSE", "no", "No",
                                                  "NO",    "off",   "Off",   "OFF"};

/// As JSON writes one, and with a point where it has an exponent. All else stays a text, as it is
/// written: `0644`, a commit like `12e4567`, a time, more digits than a number can keep.
std::optional<ordered_json> number(const std::string& text) {
    const bool has_point = text.find('.') != std::string::npos;
    if (!has_point && text.find_first_of("eE") != std::string::npos) return std::nullopt;
    auto value = ordered_json::parse(text, nullptr, false);
    if (!value.is_number() || value.is_number_float() != has_point) return std::nullopt;
    return value;
}

ordered_json scalar(const Node& node) {
    if (!node.plain) return node.text;
    if (std::ranges::find(k_true, node.text) != k_true.end()) return true;
    if (std::ranges::find(k_false, node.text) != k_false.end()) return false;
    return number(node.text).value_or(node.text);
}

ordered_json to_json(const Node& node) {
    if (node.kind == Kind::null) return nullptr;
    if (node.kind == Kind::scalar) return scalar(node);
    if (node.kind == Kind::sequence) {
        auto out = ordered_json::array();
        for (const auto& item : node.items) out.push_back(to_json(*item));
        return out;
    }
    auto out = ordered_json::object();
    for (const auto& [key, value] : node.entries) out[key->text] = to_json(*value);
    return out;
}

ConfError error_at(const Node& node, std::string message) {
    return {node.line, node.column, std::move(message)};
}

/// The files would have to be sent along; without them the job would fail only when it runs.
std::optional<ConfError> find_attachments(const Node& section, const Node& data) {
    if (!section.text.ends_with("_data")) return std::nullopt;
    for (const auto& [key, value] : data.entries)
        if (key->text == "attachments" && !value->items.empty())
            return error_at(*key, "'" + section.text +
                                      ".attachments': files cannot be sent along: expected what "
                                      "the job needs in the job itself, beside the SUT's conf "
                                      "(/sut/ in the agent), or at a URL");
    return std::nullopt;
}

/// By the agent's own rules.
std::optional<std::string> refusal(const std::string& key, ordered_json value) {
    ordered_json job;
    job[key] = std::move(value);
    const auto taken = decode_submit(job.dump());
    return taken ? std::nullopt : std::optional(taken.error().message);
}

/// One key at a time, alone, also in a section: so each error has its place.
std::optional<ConfError> find_error(const Node& key, const Node& value) {
    const auto why = refusal(key.text, to_json(value));
    if (!why) return find_attachments(key, value);
    if (refusal(key.text, ordered_json::object())) return error_at(key, *why);  // whatever is in it
    for (const auto& [inner_key, inner] : value.entries) {
        auto section = ordered_json::object();
        section[inner_key->text] = to_json(*inner);
        if (auto inner_why = refusal(key.text, std::move(section)))
            return error_at(*inner_key, *std::move(inner_why));
    }
    return error_at(key, *why);
}

}  // namespace

tl::expected<std::string, std::vector<ConfError>> job_of_yaml(std::string_view text) {
    using Errors = std::vector<ConfError>;
    // An alias could make little text a giant job.
    const auto tree = conf::parse_tree(
        text, {.anchors = false, .content = "keys such as 'job_queue' and 'test_data'"});
    if (!tree) return tl::make_unexpected(tree.error());
    const auto& root = **tree;
    if (root.kind != Kind::map)
        return tl::make_unexpected(
            Errors{error_at(root, "expected `key: value` lines, found " + describe(root))});
    Errors errors;
    for (const auto& [key, value] : root.entries)
        if (auto error = find_error(*key, *value)) errors.push_back(*std::move(error));
    if (!errors.empty()) return tl::make_unexpected(std::move(errors));
    return to_json(root).dump();
}

}  // namespace sutfleet::ctl
