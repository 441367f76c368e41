#pragma once
// The seam to a container engine: what the supervisor may ask of one, in this domain's words. Everything
// Docker-shaped (JSON, HTTP, labels) stays behind it. One call is one bounded request; none throws.
// Threads: any.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet {

enum class ContainerStatus { created, running, paused, restarting, removing, exited, dead };
enum class EngineHealth { none, starting, healthy, unhealthy };

/// One of our containers, as the engine describes it.
struct FoundContainer {
    std::string id;
    std::string name;
    std::string stack;         ///< label io.sutfleet.stack
    std::string sut;           ///< label io.sutfleet.sut
    std::string config_hash;   ///< label io.sutfleet.config-hash
    std::string programs;      ///< label io.sutfleet.programs: the build of ours that it was made with
    std::string image;
    ContainerStatus status = ContainerStatus::created;
    EngineHealth health = EngineHealth::none;
    std::string health_log;    ///< the last probe's output, one line; empty when none
    std::optional<int> exit_code;  ///< of an exited container
    bool oom_killed = false;
    std::string started_at;    ///< RFC 3339, as the engine says it
    bool summary = false;      ///< of a list, which leaves out oom_killed, health_log and started_at
    bool operator==(const FoundContainer&) const = default;
};

/// A file, folder or link to be put into a volume.
struct VolumeEntry {
    enum class Kind { file, folder, link };
    Kind kind = Kind::file;
    std::string path;     ///< relative to the volume's top; the top itself is "."
    std::string content;  ///< of a file; a link's target
    unsigned mode = 0444;
    unsigned uid = 0;
    unsigned gid = 0;
};

struct VolumeMount {
    std::string volume;
    std::string target;
    bool writable = false;
};

/// All that makes an agent's container.
struct AgentContainer {
    std::string name;
    std::string hostname;
    std::string image;
    std::vector<std::string> entrypoint;  ///< and no command
    std::vector<std::pair<std::string, std::string>> env;
    std::map<std::string, std::string> labels;
    std::vector<VolumeMount> volumes;
    std::vector<std::pair<std::string, std::string>> tmpfs;  ///< target, mount options
    std::vector<Mount> mounts;                               ///< host paths of the conf
    std::vector<std::string> devices;
    std::string network;
    std::optional<std::int64_t> memory;
    std::optional<double> cpus;
    std::optional<std::int64_t> pids;
    std::string user;
    std::vector<std::string> cap_add;  ///< all others are dropped
    struct Probe {
        std::vector<std::string> command;
        std::chrono::milliseconds interval, timeout, start_interval;
        int retries = 2;
    } probe;
    std::chrono::seconds stop_timeout{20};
};

struct ProbeOutcome {
    bool finished = false;  ///< false: it hung until the limit
    int exit_code = -1;
    std::string output;  ///< at most 4 KiB
};

/// Bytes that are read while they are sent. @return how many it gave, 0 at the end
using ByteSource = std::function<Result<std::size_t>(char* into, std::size_t size)>;

/// What brings an image to the engine takes long: it tells how it goes, and can be ended.
struct ImageTransfer {
    std::chrono::milliseconds limit{};
    std::function<bool()> go_on;                  ///< asked at least once a second
    std::function<void(std::string_view)> said;   ///< a line of the engine's, without its end
};

/// A folder that is built into an image, as an archive.
struct ImageRecipe {
    std::string image, dockerfile, target, network;
    std::map<std::string, std::string> args;
};

class Engine {
  public:
    virtual ~Engine() = default;

    struct Info {
        std::string name, version, api_version;
        int cpus = 1;
    };
    virtual Result<Info> ping() = 0;

    /// All containers that bear the stack's label and a SUT's, running or not: one call, summaries only.
    virtual Result<std::vector<FoundContainer>> agents(std::string_view stack) = 0;
    virtual Result<FoundContainer> inspect(std::string_view id_or_name) = 0;
    /// Running containers that bear the stack's label and this role: (id, name).
    virtual Result<std::vector<std::pair<std::string, std::string>>> with_role(std::string_view stack,
                                                                              std::string_view role) = 0;
    /// @return not_found when the engine does not have the image; otherwise its configured user.
    virtual Result<std::string> image_user(std::string_view image) = 0;

    /// @return a file of an image, without running it; not_found when it has none there, or something else.
    virtual Result<std::string> image_file(std::string_view image, const std::map<std::string, std::string>& labels,
                                           std::string_view path) = 0;

    /// @return the container's id; conflict when the name is taken.
    virtual Result<std::string> create(const AgentContainer& wanted) = 0;
    virtual Result<void> start(std::string_view id) = 0;
    /// TERM, then KILL after the container's stop timeout. Not running is no error.
    virtual Result<void> stop(std::string_view id, std::chrono::seconds timeout) = 0;
    virtual Result<void> kill(std::string_view id) = 0;
    virtual Result<void> remove(std::string_view id) = 0;  ///< by force, volumes with a name kept; absent is no error
    /// Runs a command in a running container and waits for its end at most `limit`.
    virtual Result<ProbeOutcome> probe(std::string_view id, const std::vector<std::string>& command,
                                       std::chrono::milliseconds limit) = 0;
    /// The newest lines of the container's stdout and stderr.
    virtual Result<std::string> tail(std::string_view id, int lines) = 0;

    virtual Result<void> create_volume(std::string_view name,
                                       const std::map<std::string, std::string>& labels) = 0;
    virtual Result<void> remove_volume(std::string_view name) = 0;  ///< absent is no error
    virtual Result<bool> has_volume(std::string_view name) = 0;
    /// Writes entries into volumes through one helper container that is never started and is removed
    /// before this returns. `image` is any image that the engine has.
    struct Delivery {
        std::string volume;
        std::vector<VolumeEntry> entries;
    };
    virtual Result<void> deliver(std::string_view image, const std::map<std::string, std::string>& labels,
                                 const std::vector<Delivery>& deliveries) = 0;
    /// Gives `sink` a file of a volume, piece by piece, until it returns false, through a helper container as `deliver` does.
    /// @return not_found when there is no such file; the volume must be there: an engine makes one that is not
    virtual Result<void> read_volume_file(std::string_view image, const std::map<std::string, std::string>& labels, const std::string& volume,
                                          std::string_view path, const std::function<bool(std::string_view)>& sink) = 0;
    /// A program that runs once, as root without a network, in a container that is removed before `run` returns.
    struct Errand {
        std::string image;
        std::map<std::string, std::string> labels;
        std::vector<VolumeMount> volumes;
        std::vector<std::string> command;
        std::vector<std::string> cap_add;  ///< all others are dropped
    };
    /// @return permanent, with its last words, when it ends with another code than 0.
    virtual Result<void> run(const Errand& errand, std::chrono::milliseconds limit) = 0;

    /// The images of an archive as `docker save` writes it. These three: permanent, with the engine's own words, when it
    /// refuses or fails; the source's error, when that ends it.
    virtual Result<void> load_image(const ByteSource& archive, const ImageTransfer& transfer) = 0;
    virtual Result<void> build_image(const ImageRecipe& recipe, const ByteSource& folder, const ImageTransfer& transfer) = 0;
    virtual Result<void> pull_image(std::string_view image, const ImageTransfer& transfer) = 0;
};

/// What an event says has changed.
struct EngineChange {
    std::string sut;  ///< empty: anything may have
    std::string id;
};

/// Watches the engine's container events (start, die, health_status, pause …, never exec_*) of one stack on a
/// thread of its own and tells each, and once at the loss and after every (re)connect that anything may have changed:
/// "look there again", never what happened. What it calls must not block. Ends with the object.
class EngineEvents {
  public:
    virtual ~EngineEvents() = default;
};

}  // namespace sutfleet
