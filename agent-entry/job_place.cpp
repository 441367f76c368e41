#include "job_place.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "folder_walk.hpp"
#include "sys/crash_point.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::json;

/// What the commands find beside their work: the request, in both forms.
std::string job_json(const JobRequest& request, const JobId& id) {
    auto object = json::parse(request.json, nullptr, false);
    if (!object.is_object()) object = json::object();
    object["id"] = id.str();
    if (!object.contains("test_data") || !object["test_data"].is_object()) object["test_data"] = json::object();
    if (!request.command.empty()) object["test_data"]["test_cmds"] = request.command;
    if (!object.contains("command") || !object["command"].is_string()) object["command"] = request.command;
    return object.dump(1, ' ', false, json::error_handler_t::replace);
}

constexpr const char* k_job = "job.json";
constexpr const char* k_other_name = "testflinger.json";
constexpr const char* k_command = "command";

struct Opened {
    sys::UniqueFd fd;
    off_t size = 0;
};

/// A file of ours in a folder that an earlier attempt, or another job, may have filled: no link is followed, no pipe is waited
/// for, and what is no file of ours, or has more names than we gave it, is replaced.
Result<Opened> open_file(int folder, const char* name, nlink_t names) {
    for (const int more : {0, O_EXCL}) {
        sys::UniqueFd fd(::openat(folder, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | more, 0644));
        struct stat info {};
        if (fd && ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink <= names) return Opened{std::move(fd), info.st_size};
        if (more != 0) return fail(errno_error(name, fd ? EINVAL : errno));
        if (::unlinkat(folder, name, 0) != 0 && errno != ENOENT) return fail(errno_error(name, errno));
    }
    return fail(ErrorKind::permanent, std::string(name) + ": expected a regular file");
}

/// Nobody reads it before the job starts, and a job that starts again finds the same text: neither atomic nor durable.
Result<void> write_text(int folder, const char* name, nlink_t names, std::string_view text) {
    // Without O_TRUNC: ext4 flushes a file that was truncated when it is closed.
    const auto file = open_file(folder, name, names);
    if (!file) return fail(file.error());
    if (std::cmp_greater(file->size, text.size()) && ::ftruncate(file->fd.get(), 0) != 0) return fail(errno_error(name, errno));
    return sys::write_all(file->fd.get(), text);
}

Result<void> give_other_name(int folder) {
    struct stat job {}, other {};
    const bool there = ::fstatat(folder, k_other_name, &other, AT_SYMLINK_NOFOLLOW) == 0;
    if (::fstatat(folder, k_job, &job, AT_SYMLINK_NOFOLLOW) != 0) return fail(errno_error(k_job, errno));
    if (there && job.st_ino == other.st_ino && job.st_dev == other.st_dev) return {};
    if (there && ::unlinkat(folder, k_other_name, 0) != 0) return fail(errno_error(k_other_name, errno));
    if (::linkat(folder, k_job, folder, k_other_name, 0) != 0) return fail(errno_error(k_other_name, errno));
    return {};
}

constexpr nlink_t k_job_names = 2;
constexpr nlink_t k_any_names = static_cast<nlink_t>(-1);  ///< a job may keep its log as an artifact

}  // namespace

Result<void> prepare_job_place(const std::string& folder) {
    if (::mkdir(folder.c_str(), 0755) != 0 && errno == EEXIST && !open_folder(folder) && ::unlink(folder.c_str()) == 0) ::mkdir(folder.c_str(), 0755);
    const auto place = open_folder(folder);
    if (!place) return fail(place.error());
    if (::mkdirat(place->get(), "artifacts", 0755) != 0 && errno != EEXIST) return fail(errno_error(folder + "/artifacts", errno));
    for (const auto& [name, names] : {std::pair{k_job, k_job_names}, {k_command, nlink_t{1}}, {"output.log", k_any_names}})
        if (auto made = open_file(place->get(), name, names); !made) return fail(made.error().with(folder));
    sys::crash_point("folder: prepared in part");
    return give_other_name(place->get());
}

Result<void> fill_job_place(const std::string& folder, const JobId& id, const JobRequest& request) {
    const auto place = open_folder(folder);
    if (!place) return fail(place.error());
    if (auto written = write_text(place->get(), k_job, k_job_names, job_json(request, id)); !written) return fail(written.error().with(folder));
    if (auto named = give_other_name(place->get()); !named) return fail(named.error().with(folder));
    return write_text(place->get(), k_command, 1, request.command);
}

}  // namespace sutfleet::agent
