#include "image_supply.hpp"

#include <algorithm>

#include "archive_source.hpp"
#include "core/one_line.hpp"
#include "folder_tar.hpp"
#include "sys/log.hpp"

namespace sutfleet {
namespace {

constexpr std::size_t k_line = 1000;  ///< bytes of a line of the engine's that are shown

}  // namespace

struct ImageSupply::Job {
    ImageOrder order;
    std::atomic<bool> canceled{false};
    std::string way;
    std::deque<std::string> said;  ///< the newest lines, for what the engine said of a load
};

std::string ways_of(const ImageOrder& order) {
    const auto& [name, context] = order;
    std::vector<std::string> ways;
    if (context.archive) ways.push_back("load contexts/images/" + context.archive->file);
    if (context.build) ways.push_back("build contexts/" + name + "/");
    if (context.pull) ways.emplace_back("pull it");
    std::string out;
    for (const auto& way : ways) out += (out.empty() ? "" : ", else ") + way;
    return out;
}

ImageSupply::ImageSupply(std::string folder, Engine& engine, const sys::Wake& owner, ImageLimits limits)
    : folder_(std::move(folder)), engine_(engine), owner_(owner), limits_(limits) {
    for (std::size_t i = 0; i < k_image_workers; ++i)
        workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

ImageSupply::~ImageSupply() {
    stopping_ = true;
    for (auto& worker : workers_) worker.request_stop();
}

void ImageSupply::make(ImageOrder order) {
    auto job = std::make_shared<Job>();
    job->order = std::move(order);
    const std::scoped_lock lock(mutex_);
    running_[job->order.name] = job;
    jobs_.push_back(std::move(job));
    added_.notify_one();
}

void ImageSupply::cancel(const std::string& context) {
    const std::scoped_lock lock(mutex_);
    if (const auto found = running_.find(context); found != running_.end()) found->second->canceled = true;
}

std::vector<ImageNews> ImageSupply::take() {
    std::map<std::string, ImageNews> news;
    {
        const std::scoped_lock lock(mutex_);
        news.swap(news_);
    }
    std::vector<ImageNews> out;
    for (auto& [context, one] : news) out.push_back(std::move(one));
    return out;
}

void ImageSupply::work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (added_.wait(lock, stop, [this] { return !jobs_.empty(); })) {
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        auto end = job->canceled ? Result<void>(fail(ErrorKind::transient, "nobody waits for it any more")) : bring(*job);
        lock.lock();
        running_.erase(job->order.name);
        auto& news = news_[job->order.name];
        news.context = job->order.name;
        news.image = job->order.context.image;
        news.way = job->way;
        news.end = std::move(end);
        owner_.notify();
    }
}

void ImageSupply::tell(Job& job, const std::string& way, const std::string& doing) {
    sys::log(sys::Level::info, "context=" + job.order.name + " " + doing);
    job.way = way;
    const std::scoped_lock lock(mutex_);
    auto& news = news_[job.order.name];
    news.context = job.order.name;
    news.image = job.order.context.image;
    news.way = way;
    news.doing = doing;
    owner_.notify();
}

void ImageSupply::hear(Job& job, std::string_view line) {
    const auto text = one_line(std::string(line), k_line);
    sys::log(sys::Level::info, "context=" + job.order.name + " " + job.way + ": " + text);
    const std::scoped_lock lock(mutex_);
    job.said.push_back(text);
    if (job.said.size() > 20) job.said.pop_front();
    auto& news = news_[job.order.name];
    news.context = job.order.name;
    news.image = job.order.context.image;
    news.way = job.way;
    const bool first = news.output.empty();
    news.output += text + "\n";
    while (news.output.size() > k_image_output) {
        news.output.erase(0, news.output.find('\n') + 1);
        ++news.dropped;
    }
    // More of it comes by itself: the owner turns at least once a second.
    if (first) owner_.notify();
}

ImageTransfer ImageSupply::transfer(Job& job, std::chrono::milliseconds limit) {
    return {limit, [this, &job] { return !stopping_ && !job.canceled; }, [this, &job](std::string_view line) { hear(job, line); }};
}

Result<bool> ImageSupply::is_there(const std::string& image) {
    const auto user = engine_.image_user(image);
    if (user) return true;
    if (user.error().kind == ErrorKind::not_found) return false;
    return fail(user.error());
}

Result<void> ImageSupply::has_come(const Job& job) {
    const auto& image = job.order.context.image;
    const auto there = is_there(image);
    if (!there) return fail(there.error());
    if (!*there) return fail(ErrorKind::permanent, image + " is not on this engine after that: removed by somebody, or kept under another name");
    return {};
}

Result<void> ImageSupply::bring(Job& job) {
    const auto& context = job.order.context;
    const auto there = is_there(context.image);
    if (!there) return fail(there.error());
    if (*there) return {};
    std::string absent;
    const auto is_absent = [&](const Result<void>& way) {
        if (way || way.error().kind != ErrorKind::not_found) return false;
        absent += "; " + way.error().message;
        return true;
    };
    if (context.archive)
        if (auto way = load(job); !is_absent(way)) return way;
    if (context.build)
        if (auto way = build(job); !is_absent(way)) return way;
    if (context.pull) {
        tell(job, "pull", "pulling image " + context.image);
        auto pulled = engine_.pull_image(context.image, transfer(job, limits_.pull));
        return pulled ? has_come(job) : fail(pulled.error().with("pulling " + context.image));
    }
    return fail(ErrorKind::not_found, context.image + " is not on this engine" + absent + ": expected " +
                                          (ways_of(job.order).empty() ? "an 'archive', a 'build' or 'pull: true'" : "one of these, or 'pull: true'") +
                                          " in contexts/" + job.order.name + ".yaml");
}

Result<void> ImageSupply::load(Job& job) {
    const auto& context = job.order.context;
    tell(job, "load", "checking contexts/images/" + context.archive->file + " for image " + context.image);
    const auto how = transfer(job, limits_.load);
    auto archive = ArchiveSource::open(folder_ + "/" + std::string(k_archives), context.archive->file, context.archive->sha256,
                                       limits_.archive_bytes, how.go_on);
    if (!archive) return fail(archive.error());
    tell(job, "load", "loading image " + context.image + " from contexts/images/" + context.archive->file);
    auto loaded = engine_.load_image([&](char* into, std::size_t size) { return archive->read(into, size); }, how);
    if (!loaded) return fail(loaded.error().with("loading contexts/images/" + context.archive->file));
    const auto there = is_there(context.image);
    if (!there) return fail(there.error());
    if (*there) return {};
    std::string said;
    for (const auto& line : job.said) said += (said.empty() ? "" : ", ") + line;
    return fail(ErrorKind::permanent, "contexts/images/" + context.archive->file + " has no image " + context.image + ": " + said);
}

Result<void> ImageSupply::build(Job& job) {
    const auto& context = job.order.context;
    auto folder = FolderTar::open(folder_, job.order.name, context.build->dockerfile, {limits_.folder_bytes, 100'000});
    if (!folder) return fail(folder.error());
    tell(job, "build", "building image " + context.image);
    const auto& recipe = *context.build;
    auto built = engine_.build_image({context.image, recipe.dockerfile, recipe.target, recipe.network, recipe.args},
                                     [&](char* into, std::size_t size) { return folder->read(into, size); }, transfer(job, limits_.build));
    return built ? has_come(job) : fail(Error{built.error().kind == ErrorKind::not_found ? ErrorKind::permanent : built.error().kind,
                                      "building " + context.image + ": " + built.error().message});
}

}  // namespace sutfleet
