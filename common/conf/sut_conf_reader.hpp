#pragma once
// Reads one map of a conf: each key is taken once by the code that knows it, in the form that it
// must have; what nobody took is an unknown key. Every broken rule is noted, none ends the reading.
// Internal to conf/.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "conf/sut_conf_tree.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet::conf {

using Milliseconds = std::chrono::milliseconds;

struct Range {
    Milliseconds least;
    Milliseconds most;
};

class MapReader {
  public:
    /// @param path what stands before each key in messages: "" or "timeouts."
    MapReader(NodePtr map, std::string path, std::vector<ConfError>& errors);

    /// The key's value, or null when it is not there. Marks the key as known.
    const Node* take(std::string_view key);
    [[nodiscard]] int line_of(std::string_view key) const;
    [[nodiscard]] const std::vector<std::pair<NodePtr, NodePtr>>& entries() const {
        return map_->entries;
    }

    // Each sets `out` when the key is there and right, notes an error when it is wrong.
    void text(std::string_view key, std::string& out);
    void boolean(std::string_view key, bool& out);
    void duration(std::string_view key, Range range, Milliseconds& out);
    /// As duration; the word (`off`, `auto`, `none`) empties it.
    void duration_or(std::string_view key, std::string_view word, Range range,
                     std::optional<Milliseconds>& out);
    void integer(std::string_view key, std::int64_t least, std::int64_t most,
                 std::optional<std::int64_t>& out);
    void bytes(std::string_view key, std::int64_t least, std::int64_t most,
               std::string_view expected, std::optional<std::int64_t>& out);
    void command(std::string_view key, std::optional<Command>& out);
    void texts(std::string_view key, std::vector<std::string>& out);
    void text_map(std::string_view key, std::map<std::string, std::string>& out);
    /// One of the words, at its index.
    std::optional<std::size_t> choice(std::string_view key,
                                      const std::vector<std::string_view>& words);
    /// A map in the map.
    void section(std::string_view key, const std::function<void(MapReader&)>& read);
    /// A list of maps; `must` are the keys that each needs.
    void sections(std::string_view key, const std::vector<std::string_view>& must,
                  const std::function<void(MapReader&)>& read);

    void wrong(const Node& at, std::string_view key, std::string_view expected);
    void note(const Node& at, std::string message);
    /// An error for each key that nobody took, with the nearest one that was asked for.
    void finish();
    [[nodiscard]] std::string full(std::string_view key) const { return path_ + std::string(key); }

  private:
    std::optional<std::string> scalar(const Node& node, std::string_view key,
                                      std::string_view expected);

    NodePtr map_;
    std::string path_;
    std::vector<ConfError>& errors_;
    std::set<std::string, std::less<>> known_;
};

/// A command from a string or a list.
std::optional<Command> to_command(const Node& node);
/// The word most like `text`, if any is like enough to be meant.
std::string_view nearest(std::string_view text, const std::set<std::string, std::less<>>& words);

}  // namespace sutfleet::conf
