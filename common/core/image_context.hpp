#pragma once
// What a named context says of an image and of the ways to it: `contexts/<name>.yaml`. Pure.

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sutfleet {

/// A file in `contexts/images/`, as `docker save` writes one.
struct ImageArchive {
    std::string file;    ///< relative to that folder, and within it
    std::string sha256;  ///< 64 hexadecimal digits in lower case
    bool operator==(const ImageArchive&) const = default;
};

/// How `contexts/<name>/` is built.
struct ImageBuild {
    std::string dockerfile = "Dockerfile";  ///< relative to that folder, and within it
    std::map<std::string, std::string> args;
    std::string target;   ///< a stage; empty: the last one
    std::string network;  ///< of its RUN steps; empty: the engine's default
    bool operator==(const ImageBuild&) const = default;
};

struct ImageContext {
    std::string engine;  ///< docker, podman, unix://… or tcp://…; empty: whatever the stack has
    std::string image;   ///< the tag that agents run
    std::optional<ImageArchive> archive;
    std::optional<ImageBuild> build;
    bool pull = false;
    bool operator==(const ImageContext&) const = default;
};

inline constexpr std::string_view k_archives = "images";  ///< their folder in that of the contexts

/// As a SUT's name; not `images`, whose folder has the archives.
[[nodiscard]] bool is_context_name(std::string_view name);
/// A relative path of names only: no "..", no ".", no empty one.
[[nodiscard]] bool stays_beneath(std::string_view path);
/// The engine takes an image without a tag for all of its tags when it pulls: `lab/agent` is `lab/agent:latest`.
[[nodiscard]] std::string with_tag(std::string_view image);
/// Why a context for another engine than ours is not acted on; empty when it is for ours.
[[nodiscard]] std::string engine_trouble(const ImageContext& context, std::string_view our_host);

}  // namespace sutfleet
