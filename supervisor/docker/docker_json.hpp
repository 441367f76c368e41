#pragma once
// The engine's JSON to our words and back. Pure; never throws. Source: Docker Engine API v1.40 and later.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "engine.hpp"

namespace sutfleet::docker {

/// A version of the API, as it stands in the path: 1.41.
struct ApiVersion {
    int major = 1, minor = 40;
    auto operator<=>(const ApiVersion&) const = default;
};
inline constexpr ApiVersion k_oldest_api{1, 40};
inline constexpr ApiVersion k_newest_api{1, 44};

struct ServerVersion {
    std::string version;
    ApiVersion newest;
    ApiVersion oldest;
};

Result<ServerVersion> decode_version(std::string_view json);
[[nodiscard]] std::string encode_create(const AgentContainer& wanted, ApiVersion api);
/// Ids of a container list.
Result<std::vector<std::pair<std::string, std::string>>> decode_list(std::string_view json);  ///< (id, name)
/// The same list as containers, with what it tells of each.
Result<std::vector<FoundContainer>> decode_summaries(std::string_view json);
[[nodiscard]] ContainerStatus status_of(std::string_view text);
/// One line of the event stream. @return nothing for what is no agent of ours; an empty change for what is no event
[[nodiscard]] std::optional<EngineChange> decode_event(std::string_view line);
Result<FoundContainer> decode_container(std::string_view json);
/// The value of one text member, "" when it is absent: `Id`, `message`, …
[[nodiscard]] std::string text_member(std::string_view json, std::string_view key);
/// The id of what the engine has made: letters, digits, '-' and '_', since it becomes a part of paths. @return invalid_input for anything else
Result<std::string> made_id(std::string_view json);
Result<int> decode_cpus(std::string_view json);
Result<std::string> decode_image_user(std::string_view json);
struct ExecState {
    bool running = true;
    int exit_code = -1;
};
Result<ExecState> decode_exec(std::string_view json);
[[nodiscard]] std::string encode_exec(const std::vector<std::string>& command);
/// An object of texts.
[[nodiscard]] std::string encode_texts(const std::map<std::string, std::string>& texts);
[[nodiscard]] std::string encode_volume(std::string_view name, const std::map<std::string, std::string>& labels);
/// A container that is never started, with the volumes mounted at helper_mount(0), (1) … and writable.
[[nodiscard]] std::string encode_helper(std::string_view image, const std::map<std::string, std::string>& labels,
                                        const std::vector<std::string>& volumes);
[[nodiscard]] std::string helper_mount(std::size_t index);
[[nodiscard]] std::string encode_errand(const Engine::Errand& errand);
/// The code that a container ended with.
Result<int> decode_wait(std::string_view json);
[[nodiscard]] std::string encode_filters(const std::vector<std::string>& labels);
[[nodiscard]] std::string encode_event_filters(std::string_view stack);
/// Takes the frames of an attached or logged stream apart (API: "Stream format"); anything else as it is.
[[nodiscard]] std::string unframe(std::string_view stream);

}  // namespace sutfleet::docker
