#pragma once
// Every call that the supervisor may make to an engine. The HTTP client makes no other; docs/reference.md has the same list,
// and a test compares them. Pure.

#include <algorithm>
#include <array>
#include <string_view>

namespace sutfleet::docker {

struct Call {
    std::string_view method;
    std::string_view path;  ///< without the API's version and the query; `{}` stands for a name or an id
};

inline constexpr std::array k_calls{
    Call{"GET", "/version"},
    Call{"GET", "/info"},
    Call{"GET", "/events"},
    Call{"GET", "/containers/json"},
    Call{"POST", "/containers/create"},
    Call{"GET", "/containers/{}/json"},
    Call{"GET", "/containers/{}/logs"},
    Call{"GET", "/containers/{}/archive"},
    Call{"PUT", "/containers/{}/archive"},
    Call{"POST", "/containers/{}/start"},
    Call{"POST", "/containers/{}/stop"},
    Call{"POST", "/containers/{}/kill"},
    Call{"POST", "/containers/{}/wait"},
    Call{"DELETE", "/containers/{}"},
    Call{"POST", "/containers/{}/exec"},
    Call{"POST", "/exec/{}/start"},
    Call{"GET", "/exec/{}/json"},
    Call{"GET", "/images/{}/json"},
    Call{"POST", "/images/load"},
    Call{"POST", "/images/create"},
    Call{"POST", "/build"},
    Call{"POST", "/volumes/create"},
    Call{"GET", "/volumes/{}"},
    Call{"DELETE", "/volumes/{}"},
};

/// A path with the API's version in front, and a query behind or not. An image's name may have slashes.
[[nodiscard]] constexpr bool is_listed(std::string_view method, std::string_view path) {
    path = path.substr(0, path.find('?'));
    if (path.starts_with("/v1.")) path.remove_prefix(std::min(path.find('/', 1), path.size()));
    return std::ranges::any_of(k_calls, [&](const Call& call) {
        if (call.method != method) return false;
        const auto hole = call.path.find("{}");
        if (hole == std::string_view::npos) return call.path == path;
        const auto before = call.path.substr(0, hole), after = call.path.substr(hole + 2);
        if (path.size() <= before.size() + after.size() || !path.starts_with(before) || !path.ends_with(after)) return false;
        const auto name = path.substr(before.size(), path.size() - before.size() - after.size());
        return before == "/images/" || name.find('/') == std::string_view::npos;
    });
}

}  // namespace sutfleet::docker
