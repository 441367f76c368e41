#include "conf/sut_conf_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <istream>
#include <map>
#include <sstream>

namespace sutfleet::conf {
namespace {

using MutableNode = std::shared_ptr<Node>;

/// How many bytes the UTF-8 sequence at the beginning of `text` has; 0 if it is none.
std::size_t utf8_length(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t length = lead < 0x80   ? 1
                               : lead < 0xC2 ? 0
                               : lead < 0xE0 ? 2
                               : lead < 0xF0 ? 3
                               : lead < 0xF5 ? 4
                                             : 0;
    if (length == 0 || length > text.size()) return 0;
    const auto follows = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
    if (!std::ranges::all_of(text.substr(1, length - 1), follows)) return 0;
    const auto second = static_cast<unsigned char>(length > 1 ? text[1] : 0);
    const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
    const bool surrogate = lead == 0xED && second >= 0xA0;
    const bool beyond = lead == 0xF4 && second >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const auto length = utf8_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

/// Thrown through the parser to end it; never leaves this file.
struct Stop {};

class TreeBuilder final : public YAML::EventHandler {
  public:
    explicit TreeBuilder(const TreeRules& rules) : rules_(rules) {}

    [[nodiscard]] NodePtr root() const { return root_; }
    [[nodiscard]] std::vector<ConfError>& errors() { return errors_; }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) stop(mark, "a second document: expected only one");
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        attach(make(mark, Kind::null, anchor));
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end() || is_open(found->second)) stop(mark, "an alias of itself");
        attach(found->second);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        // Only an escape can make one, and no program would see what follows it.
        if (value.find('\0') != std::string::npos)
            stop(mark, "a text with a NUL character: expected none");
        // yaml-cpp makes one byte of each of them.
        if (!is_utf8(value))
            stop(mark, "a text with the escape \\N or \\_: expected \\x85 or \\xA0");
        const bool plain = tag == "?" || tag.empty();
        const bool null =
            plain && (value == "~" || value == "null" || value == "Null" || value == "NULL");
        auto node = make(mark, null ? Kind::null : Kind::scalar, anchor);
        node->text = value;
        node->plain = plain;
        attach(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(make(mark, Kind::sequence, anchor), mark);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(make(mark, Kind::map, anchor), mark);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        MutableNode node;
        NodePtr key;  ///< of a map: the key whose value comes next
    };

    [[noreturn]] void stop(const YAML::Mark& mark, std::string message) {
        errors_.push_back({mark.line + 1, mark.column + 1, std::move(message)});
        throw Stop{};
    }

    [[noreturn]] void stop_at(const Node& node, std::string message) {
        errors_.push_back({node.line, node.column, std::move(message)});
        throw Stop{};
    }

    MutableNode make(const YAML::Mark& mark, Kind kind, YAML::anchor_t anchor) {
        auto node = std::make_shared<Node>();
        node->kind = kind;
        node->line = mark.line + 1;
        node->column = mark.column + 1;
        if (anchor == 0) return node;
        if (!rules_.anchors)
            stop(mark, "an anchor: expected the value written out where it is used");
        // Aliases within aliases are not limited by depth, and the nodes are destroyed recursively.
        if (anchors_.size() >= k_anchors_limit) stop(mark, "too many anchors in one conf");
        anchors_[anchor] = node;
        return node;
    }

    [[nodiscard]] bool is_open(const MutableNode& node) const {
        return std::ranges::any_of(open_, [&](const Open& each) { return each.node == node; });
    }

    void open(MutableNode node, const YAML::Mark& mark) {
        if (open_.size() >= k_depth_limit)
            stop(mark, "nested too deeply: expected at most " + std::to_string(k_depth_limit) +
                           " levels");
        open_.push_back({std::move(node), nullptr});
    }
    void close() {
        auto node = std::move(open_.back().node);
        open_.pop_back();
        attach(std::move(node));
    }

    void attach(NodePtr node) {
        if (open_.empty()) {
            root_ = std::move(node);
            return;
        }
        auto& parent = open_.back();
        if (parent.node->kind == Kind::sequence) {
            parent.node->items.push_back(std::move(node));
        } else if (!parent.key) {
            parent.key = std::move(node);
        } else {
            add_entry(parent, std::move(node));
        }
    }

    void add_entry(Open& parent, NodePtr value) {
        const auto key = std::exchange(parent.key, nullptr);
        if (key->kind != Kind::scalar) {
            errors_.push_back(
                {key->line, key->column, "a key must be a word, found " + describe(*key)});
            return;
        }
        const auto same = std::ranges::find_if(parent.node->entries, [&](const auto& entry) {
            return entry.first->text == key->text;
        });
        if (same == parent.node->entries.end()) {
            if (parent.node->entries.size() >= k_keys_limit)
                stop_at(*key, "too many keys in one map");
            parent.node->entries.emplace_back(key, std::move(value));
            return;
        }
        errors_.push_back({key->line, key->column,
                           "'" + key->text + "': duplicate key, it is already set in line " +
                               std::to_string(same->first->line)});
    }

    const TreeRules& rules_;
    NodePtr root_;
    std::vector<Open> open_;
    std::map<YAML::anchor_t, MutableNode> anchors_;
    std::vector<ConfError> errors_;
    int documents_ = 0;
};

/// yaml-cpp replaces what is not UTF-8 and lets control characters pass: both mean a binary or
/// broken file.
std::optional<ConfError> find_binary(std::string_view text) {
    ConfError at{1, 1, "not a text: expected UTF-8 without control characters"};
    for (std::size_t i = 0; i < text.size();) {
        const auto length = utf8_length(text.substr(i));
        const auto c = static_cast<unsigned char>(text[i]);
        if (length == 0 || (c < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F)
            return at;
        at.line += c == '\n' ? 1 : 0;
        at.column = c == '\n' ? 1 : at.column + 1;
        i += length;
    }
    return std::nullopt;
}

/// The parser has other words for it, which do not help who cannot see the tab.
bool is_tab_indented(std::string_view text, int line) {
    for (; line > 0 && !text.empty(); --line)
        text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
    return text.substr(0, text.find_first_not_of(" \t")).find('\t') != std::string_view::npos;
}

ConfError parser_error(std::string_view text, const YAML::Exception& error) {
    const auto what = is_tab_indented(text, error.mark.line)
                          ? "a tab in the indentation: expected spaces"
                          : error.msg;
    return {error.mark.line + 1, error.mark.column + 1, "not YAML: " + what};
}

/// YAML itself cannot tell a half-written file from a whole one; an empty one at least is no conf.
ConfError empty_error(const TreeRules& rules) {
    return {1, 1, "the file is empty: expected " + std::string(rules.content)};
}

}  // namespace

std::string describe(const Node& node) {
    switch (node.kind) {
        case Kind::null:
            return "nothing";
        case Kind::scalar:
            return "'" + (node.text.size() > 40 ? node.text.substr(0, 40) + "…" : node.text) + "'";
        case Kind::sequence:
            return "a list";
        case Kind::map:
            return "a map";
    }
    return "nothing";
}

tl::expected<NodePtr, std::vector<ConfError>> parse_tree(std::string_view text,
                                                         const TreeRules& rules) {
    using Errors = std::vector<ConfError>;
    if (text.size() > k_conf_limit)
        return tl::make_unexpected(Errors{{1, 1,
                                           "the file is too large: expected at most " +
                                               std::to_string(k_conf_limit) + " bytes"}});
    if (auto binary = find_binary(text)) return tl::make_unexpected(Errors{*std::move(binary)});
    TreeBuilder builder(rules);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Stop&) {
        // the error is already among the others
    } catch (const YAML::Exception& error) {
        builder.errors().push_back(parser_error(text, error));
    } catch (const std::exception& error) {
        builder.errors().push_back({1, 1, std::string("not YAML: ") + error.what()});
    }
    if (!builder.errors().empty()) return tl::make_unexpected(std::move(builder.errors()));
    if (!builder.root() || builder.root()->kind == Kind::null)
        return tl::make_unexpected(Errors{empty_error(rules)});
    return builder.root();
}

}  // namespace sutfleet::conf
