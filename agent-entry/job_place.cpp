#include "job_place.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

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

Result<sys::UniqueFd> open_file(const std::string& path) {
    sys::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!fd) return fail(errno_error(path, errno));
    return fd;
}

/// Nobody reads it before the job starts, and a job that starts again finds the same text: neither atomic nor durable.
Result<void> write_text(const std::string& path, std::string_view text) {
    // Without O_TRUNC: ext4 flushes a file that was truncated when it is closed.
    const auto fd = open_file(path);
    if (!fd) return fail(fd.error());
    struct stat old {};
    if (::fstat(fd->get(), &old) != 0) return fail(errno_error(path, errno));
    if (std::cmp_greater(old.st_size, text.size()) && ::ftruncate(fd->get(), 0) != 0) return fail(errno_error(path, errno));
    return sys::write_all(fd->get(), text);
}

}  // namespace

Result<void> prepare_job_place(const std::string& folder) {
    for (const auto& each : {folder, folder + "/artifacts"})
        if (::mkdir(each.c_str(), 0755) != 0 && errno != EEXIST) return fail(errno_error(each, errno));
    for (const auto* name : {"/job.json", "/command", "/output.log"})
        if (auto made = open_file(folder + name); !made) return fail(made.error());
    sys::crash_point("folder: prepared in part");
    const auto other_name = folder + "/testflinger.json";
    if (::link((folder + "/job.json").c_str(), other_name.c_str()) != 0 && errno != EEXIST)
        return fail(errno_error(other_name, errno));
    return {};
}

Result<void> fill_job_place(const std::string& folder, const JobId& id, const JobRequest& request) {
    if (auto written = write_text(folder + "/job.json", job_json(request, id)); !written) return written;
    return write_text(folder + "/command", request.command);
}

}  // namespace sutfleet::agent
