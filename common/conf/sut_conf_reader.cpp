#include "conf/sut_conf_reader.hpp"

#include <algorithm>
#include <charconv>

#include "core/duration.hpp"

namespace sutfleet::conf {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
        }
    }
    return row.back();
}

std::string range_text(Range range) {
    return "a duration from " + format_duration(range.least) + " to " + format_duration(range.most);
}

bool is_true(std::string_view text) {
    return text == "true" || text == "True" || text == "TRUE";
}
bool is_false(std::string_view text) {
    return text == "false" || text == "False" || text == "FALSE";
}

/// An amount of bytes: 1.5g, 512MiB, 4096; the units are powers of 1024.
std::optional<std::int64_t> parse_bytes(std::string_view text) {
    double number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
    if (error != std::errc{} || !(number > 0)) return std::nullopt;
    std::string unit;
    for (const char* c = rest; c != end; ++c)
        unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
    constexpr std::array<std::string_view, 5> k_units{"", "k", "m", "g", "t"};
    for (std::size_t power = 0; power < k_units.size(); ++power) {
        const std::string plain(k_units[power]);
        const bool same =
            unit == plain || unit == plain + "b" || (power > 0 && unit == plain + "ib");
        const double bytes = number * static_cast<double>(1LL << (10 * power));
        if (same && bytes < 0x1p62) return static_cast<std::int64_t>(bytes);
    }
    return std::nullopt;
}

}  // namespace

std::string_view nearest(std::string_view text, const std::set<std::string, std::less<>>& words) {
    if (text.size() > 40) return {};
    std::string_view best;
    std::size_t least = std::min<std::size_t>(2, text.size() / 2) + 1;
    for (const auto& word : words) {
        const auto distance = edit_distance(text, word);
        if (distance < least) {
            least = distance;
            best = word;
        }
    }
    return best;
}

std::optional<Command> to_command(const Node& node) {
    if (node.kind == Kind::scalar && !node.text.empty())
        return Command{{"/bin/sh", "-c", node.text}};
    if (node.kind != Kind::sequence || node.items.empty()) return std::nullopt;
    Command out;
    for (const auto& item : node.items) {
        if (item->kind != Kind::scalar) return std::nullopt;
        out.argv.push_back(item->text);
    }
    return out.argv.front().empty() ? std::nullopt : std::optional(std::move(out));
}

MapReader::MapReader(NodePtr map, std::string path, std::vector<ConfError>& errors)
    : map_(std::move(map)), path_(std::move(path)), errors_(errors) {}

const Node* MapReader::take(std::string_view key) {
    known_.emplace(key);
    const auto found = std::ranges::find_if(
        map_->entries, [&](const auto& entry) { return entry.first->text == key; });
    return found == map_->entries.end() ? nullptr : found->second.get();
}

int MapReader::line_of(std::string_view key) const {
    for (const auto& [name, value] : map_->entries)
        if (name->text == key) return name->line;
    return map_->line;
}

void MapReader::note(const Node& at, std::string message) {
    errors_.push_back({at.line, at.column, std::move(message)});
}

void MapReader::wrong(const Node& at, std::string_view key, std::string_view expected) {
    std::string message =
        "'" + full(key) + "': expected " + std::string(expected) + ", found " + describe(at);
    if (at.kind == Kind::null) {
        // An empty value has no place of its own: the parser gives that of whatever follows it.
        for (const auto& [name, value] : map_->entries)
            if (value.get() == &at) return note(*name, std::move(message));
    }
    note(at, std::move(message));
}

std::optional<std::string> MapReader::scalar(const Node& node, std::string_view key,
                                             std::string_view expected) {
    if (node.kind == Kind::scalar) return node.text;
    wrong(node, key, expected);
    return std::nullopt;
}

void MapReader::text(std::string_view key, std::string& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (auto value = scalar(*node, key, "a text")) out = *std::move(value);
}

void MapReader::boolean(std::string_view key, bool& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const bool yes = node->kind == Kind::scalar && node->plain && is_true(node->text);
    const bool no = node->kind == Kind::scalar && node->plain && is_false(node->text);
    if (!yes && !no) return wrong(*node, key, "true or false");
    out = yes;
}

void MapReader::duration(std::string_view key, Range range, Milliseconds& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto value = node->kind == Kind::scalar ? parse_duration(node->text)
                                                  : Result<Milliseconds>(Milliseconds{-1});
    if (!value || *value < range.least || *value > range.most)
        return wrong(*node, key, range_text(range));
    out = *value;
}

void MapReader::duration_or(std::string_view key, std::string_view word, Range range,
                            std::optional<Milliseconds>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (node->kind == Kind::scalar && node->text == word) {
        out.reset();
        return;
    }
    const auto value = node->kind == Kind::scalar ? parse_duration(node->text)
                                                  : Result<Milliseconds>(Milliseconds{-1});
    if (!value || *value < range.least || *value > range.most)
        return wrong(*node, key, "'" + std::string(word) + "' or " + range_text(range));
    out = *value;
}

void MapReader::integer(std::string_view key, std::int64_t least, std::int64_t most,
                        std::optional<std::int64_t>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    std::int64_t value = 0;
    const char* end = node->text.data() + node->text.size();
    const auto [rest, error] = std::from_chars(node->text.data(), end, value);
    if (node->kind != Kind::scalar || error != std::errc{} || rest != end || value < least ||
        value > most)
        return wrong(
            *node, key,
            "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    out = value;
}

void MapReader::bytes(std::string_view key, std::int64_t least, std::int64_t most,
                      std::string_view expected, std::optional<std::int64_t>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    const auto value = node->kind == Kind::scalar ? parse_bytes(node->text) : std::nullopt;
    if (!value || *value < least || *value > most) return wrong(*node, key, expected);
    out = value;
}

void MapReader::command(std::string_view key, std::optional<Command>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    out = to_command(*node);
    if (!out) wrong(*node, key, "a command: a text for /bin/sh, or a list of texts");
}

void MapReader::texts(std::string_view key, std::vector<std::string>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::sequence) return wrong(*node, key, "a list of texts");
    out.clear();
    for (const auto& item : node->items) {
        if (item->kind == Kind::scalar && !item->text.empty())
            out.push_back(item->text);
        else
            wrong(*item, key, "a list of texts");
    }
}

void MapReader::text_map(std::string_view key, std::map<std::string, std::string>& out) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::map) return wrong(*node, key, "a map of names to texts");
    for (const auto& [name, value] : node->entries) {
        if (value->kind == Kind::scalar)
            out[name->text] = value->text;
        else
            note(value->kind == Kind::null ? *name : *value, "'" + full(key) + "." + name->text +
                                                                 "': expected a text, found " +
                                                                 describe(*value));
    }
}

std::optional<std::size_t> MapReader::choice(std::string_view key,
                                             const std::vector<std::string_view>& words) {
    const auto* node = take(key);
    if (node == nullptr) return std::nullopt;
    const auto found = std::ranges::find(words, std::string_view(node->text));
    if (node->kind == Kind::scalar && found != words.end())
        return static_cast<std::size_t>(found - words.begin());
    std::string expected;
    for (std::size_t i = 0; i < words.size(); ++i)
        expected += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + std::string(words[i]);
    wrong(*node, key, expected);
    return std::nullopt;
}

void MapReader::section(std::string_view key, const std::function<void(MapReader&)>& read) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::map) return wrong(*node, key, "a map");
    // The root keeps the nodes alive for as long as anybody reads.
    MapReader reader(NodePtr(NodePtr{}, node), full(key) + ".", errors_);
    read(reader);
    reader.finish();
}

void MapReader::sections(std::string_view key, const std::vector<std::string_view>& must,
                         const std::function<void(MapReader&)>& read) {
    const auto* node = take(key);
    if (node == nullptr) return;
    if (node->kind != Kind::sequence) return wrong(*node, key, "a list of maps");
    for (std::size_t i = 0; i < node->items.size(); ++i) {
        const auto& item = node->items[i];
        if (item->kind != Kind::map) {
            wrong(*item, key, "a list of maps");
            continue;
        }
        MapReader reader(item, full(key) + "[" + std::to_string(i) + "].", errors_);
        for (const auto name : must)
            if (reader.take(name) == nullptr) note(*item, "'" + reader.full(name) + "' is missing");
        read(reader);
        reader.finish();
    }
}

void MapReader::finish() {
    for (const auto& [name, value] : map_->entries) {
        if (known_.contains(name->text)) continue;
        const auto meant = nearest(name->text, known_);
        std::string message = "'" + path_ + name->text.substr(0, 60) + "': unknown key";
        if (!meant.empty()) message += ", did you mean '" + std::string(meant) + "'?";
        note(*name, std::move(message));
    }
}

}  // namespace sutfleet::conf
