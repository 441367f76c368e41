#pragma once
// A YAML text as a tree of nodes that know where they stand. Built from yaml-cpp's events instead
// of its nodes, because those keep the first of two equal keys without a word. Bounded: size,
// depth, one document; an alias shares its node, so a "bomb" of aliases costs nothing. For conf/
// and for sutctl's job files. Threads: any.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "conf/sut_conf_yaml.hpp"

namespace sutfleet::conf {

struct Node;
using NodePtr = std::shared_ptr<const Node>;

enum class Kind { null, scalar, sequence, map };

struct Node {
    Kind kind = Kind::null;
    int line = 1;
    int column = 1;
    std::string text;  ///< of a scalar
    bool plain =
        false;  ///< a scalar without quotes: only such a one can be a number, a bool or null
    std::vector<NodePtr> items;
    std::vector<std::pair<NodePtr, NodePtr>> entries;  ///< of a map; keys are scalars and differ
};

inline constexpr std::size_t k_depth_limit = 16;
inline constexpr std::size_t k_keys_limit = 1000;  ///< in one map
inline constexpr std::size_t k_anchors_limit = 1000;

struct TreeRules {
    bool anchors = true;  ///< whether `&name` and `*name` are taken
    /// What an empty text should have had.
    std::string_view content = "keys such as 'description' or 'command', or {} for all defaults";
};

/// @return the root, or every error found until the text could not be followed any more.
tl::expected<NodePtr, std::vector<ConfError>> parse_tree(std::string_view text,
                                                         const TreeRules& rules = {});

/// For messages: `'text'`, `a list`, `a map`, `nothing`.
std::string describe(const Node& node);

}  // namespace sutfleet::conf
