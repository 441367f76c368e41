#pragma once
// Brings the images of contexts to the engine, on threads of its own: a slow one delays nothing else. It takes the first
// way that is there: the image is there already, its archive, its folder to build, a pull where that is allowed. A way that
// is there and fails is the end: none hides the failure of another. What it tells is bounded.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/image_context.hpp"
#include "engine.hpp"
#include "sys/wake.hpp"

namespace sutfleet {

struct ImageLimits {
    std::chrono::milliseconds load{std::chrono::minutes{30}}, build{std::chrono::hours{1}}, pull{std::chrono::hours{1}};
    std::uint64_t archive_bytes = std::uint64_t{32} << 30;
    std::uint64_t folder_bytes = std::uint64_t{4} << 30;
};

struct ImageOrder {
    std::string name;  ///< of the context
    ImageContext context;
};

/// What has happened since the last time that one asked.
struct ImageNews {
    std::string context, image;
    std::string way;     ///< load, build or pull; empty while it is not known
    std::string doing;   ///< "building image lab/agent:1"; empty: as before
    std::string output;  ///< whole lines of the engine's, the newest that there is room for
    std::size_t dropped = 0;        ///< lines before them
    std::optional<Result<void>> end;  ///< not_found: there is no way to it
};

class ImageSupply {
  public:
    ImageSupply(std::string folder, Engine& engine, const sys::Wake& owner, ImageLimits limits = {});
    ~ImageSupply();
    void make(ImageOrder order);
    /// Ends it soon, if it is not over.
    void cancel(const std::string& context);
    std::vector<ImageNews> take();

  private:
    struct Job;
    void work(const std::stop_token& stop);
    Result<void> bring(Job& job);
    Result<void> load(Job& job);
    Result<void> build(Job& job);
    Result<bool> is_there(const std::string& image);
    /// After what should have brought it.
    Result<void> has_come(const Job& job);
    void tell(Job& job, const std::string& way, const std::string& doing);
    void hear(Job& job, std::string_view line);
    ImageTransfer transfer(Job& job, std::chrono::milliseconds limit);

    const std::string folder_;
    Engine& engine_;
    const sys::Wake& owner_;
    const ImageLimits limits_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;  ///< guards all below
    std::condition_variable_any added_;
    std::deque<std::shared_ptr<Job>> jobs_;
    std::map<std::string, std::shared_ptr<Job>> running_;
    std::map<std::string, ImageNews> news_;  ///< by context
    std::vector<std::jthread> workers_;
};

inline constexpr std::size_t k_image_workers = 4;
inline constexpr std::size_t k_image_output = 8 * 1024;  ///< kept of what is not taken

/// The ways of a context, as a plan says them: "load it from images/a.tar, else build contexts/x/".
[[nodiscard]] std::string ways_of(const ImageOrder& order);

}  // namespace sutfleet
