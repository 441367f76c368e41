#pragma once
// A submitter as JSON, in records and offers: {"user", "name"}, each only where it is known.

#include <nlohmann/json.hpp>

#include "core/one_line.hpp"
#include "core/submitter.hpp"

namespace sutfleet {

[[nodiscard]] inline nlohmann::ordered_json submitter_json(const Submitter& submitter) {
    nlohmann::ordered_json out = nlohmann::ordered_json::object();
    if (!submitter.user.empty()) out["user"] = submitter.user;
    if (!submitter.name.empty()) out["name"] = submitter.name;
    return out;
}

/// Throws nlohmann's exceptions for what is no such object.
[[nodiscard]] inline Submitter submitter_of(const nlohmann::ordered_json& from) {
    return {one_line(from.value("user", std::string()), k_submitter_limit), one_line(from.value("name", std::string()), k_submitter_limit)};
}

}  // namespace sutfleet
