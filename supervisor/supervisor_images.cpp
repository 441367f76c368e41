// The supervisor's images: what the confs' contexts say, who waits for an image, and what is heard of its making.

#include <algorithm>

#include "supervisor.hpp"
#include "sys/clock.hpp"
#include "sys/log.hpp"

namespace sutfleet {

/// As it is acted on: with the image of its context.
SutConf with_image(const ContextFolder& contexts, SutConf conf) {
    if (conf.container.context.empty()) return conf;
    if (const auto file = contexts.find(conf.container.context); file.context) conf.container.image = file.context->image;
    return conf;
}

namespace {

/// Why a context is not acted on; empty when it is.
std::string fault_of(const ContextFile& file, const Settings& settings) {
    if (!file.context) return file.error;
    auto why = settings.host_rules.refuse_image(file.context->image);
    return why.empty() ? engine_trouble(*file.context, settings.docker_host) : "image: " + why;
}

}  // namespace

std::string context_trouble(const ContextFolder& contexts, const Settings& settings, const SutConf& conf) {
    const auto& name = conf.container.context;
    if (name.empty() || !conf.enabled) return {};
    const auto why = fault_of(contexts.find(name), settings);
    return why.empty() ? why : "context '" + name + "': " + why;
}

std::string trouble_of(const ContextFolder& contexts, const Settings& settings, const ConfFile& file) {
    auto why = file.trouble();
    return why.empty() && file.conf ? context_trouble(contexts, settings, *file.conf) : why;
}

std::string errors_in(const ConfFolder& confs, const ContextFolder& contexts, const Settings& settings) {
    std::string out;
    for (const auto& [sut, file] : confs.files())
        if (const auto why = trouble_of(contexts, settings, file); !why.empty()) out += "error " + sut.str() + ": " + why + "\n";
    for (const auto& [name, why] : confs.complaints()) out += "error " + name + ": " + why + "\n";
    return out;
}

std::optional<SteadyTime> Supervisor::observe_contexts(SteadyTime now) {
    for (const auto& name : contexts_.look(now)) {
        const auto changed = contexts_.find(name);
        if (!changed.error.empty()) sys::log(sys::Level::error, "context '" + name + "': " + changed.error);
        if (images_.retry(name, changed.context ? changed.context->image : std::string())) supply_->cancel(name);
        for (const auto& [sut, file] : confs_.files())
            if (file.conf && file.conf->container.context == name) want(sut, "context " + name);
    }
    for (auto& news : supply_->take()) note(std::move(news), now);
    for (const auto& name : images_.begin(now)) {
        const auto file = contexts_.find(name);
        const auto trouble = fault_of(file, settings_);
        if (trouble.empty())
            supply_->make({name, *file.context});
        else
            images_.end(name, trouble, now, random01());
        spread(name);
    }
    const auto due = images_.due();
    return due ? std::min(*due, contexts_.due()) : contexts_.due();
}

/// Each SUT that waits says what for.
void Supervisor::spread(const std::string& context) {
    for (const auto& sut : images_.waiting(context)) fleet_.know(sut).image = images_.wait_of(context);
}

void Supervisor::note(ImageNews news, SteadyTime now) {
    const auto at = format_rfc3339(sys::wall_now()), what = "image " + news.image;
    if (!news.doing.empty()) {
        images_.says(news.context, news.doing);
        spread(news.context);
        say({at, "", news.way, news.doing, "begun", "", ""});
    }
    if (!news.output.empty()) {
        if (news.dropped > 0) news.output.insert(0, "(" + std::to_string(news.dropped) + " lines are in the log only)\n");
        say({at, "", news.way, what, "output", "", news.output});
    }
    if (news.end) settle(news, now);
}

void Supervisor::settle(const ImageNews& news, SteadyTime now) {
    const auto error = *news.end ? std::string() : news.end->error().message;
    const auto way = news.way.empty() ? std::string("image") : news.way;
    const bool outdated = images_.is_outdated(news.context);
    const auto waited = images_.end(news.context, error, now, random01());
    if (!error.empty() && (outdated || waited.empty())) {
        const auto* why = waited.empty() ? "nobody waits for it any more" : "it was changed, and is begun anew";
        sys::log(sys::Level::info, "context=" + news.context + " " + way + " ended: " + why);
        say({format_rfc3339(sys::wall_now()), "", way, "image " + news.image, "ended", why, ""});
        return;
    }
    const auto at = format_rfc3339(sys::wall_now()), why = "image " + news.image + " is missing";
    for (const auto& sut : waited) {
        auto& history = fleet_.know(sut);
        history.image = error.empty() ? std::nullopt : images_.wait_of(news.context);
        if (error.empty()) continue;
        last_actions_[sut] = {way, why, at, error};
        actions_.add(sut, {way, why, at, error});
    }
    if (news.way.empty() && error.empty()) return;  // it was there
    count([&](Metrics& metrics) { ++(error.empty() ? metrics.actions[way].done : metrics.actions[way].failed); });
    sys::log(error.empty() ? sys::Level::info : sys::Level::error, "context=" + news.context + " " + way + (error.empty() ? " done" : " failed: " + error));
    say({at, "", way, why, error.empty() ? "ok" : "failed", error, ""});
}

/// An action has found that its image is not there, and has done nothing.
void Supervisor::await_image(const SutName& sut) {
    auto& history = fleet_.know(sut);
    history.busy = false;
    const auto file = confs_.files().find(sut);
    if (file == confs_.files().end() || !file->second.conf) return;
    const auto& name = file->second.conf->container.context;
    const auto context = contexts_.find(name).context;
    if (!context) return;
    images_.want(name, context->image, sut);
    history.image = images_.wait_of(name);
}

/// Its conf changed or went: it may wait for another image now, or for none.
void Supervisor::reconsider_image(const SutName& sut) {
    const auto file = confs_.files().find(sut);
    const bool runs = file != confs_.files().end() && file->second.conf && file->second.conf->enabled;
    // Whoever names a context has often just written it.
    if (runs && !file->second.conf->container.context.empty()) contexts_.touch();
    const auto idle = images_.leave(sut, runs ? file->second.conf->container.context : std::string());
    if (idle) supply_->cancel(*idle);
    if (fleet_.history(sut).image && !images_.waits(sut)) fleet_.know(sut).image.reset();
}

}  // namespace sutfleet
