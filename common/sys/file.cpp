#include "sys/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace sutfleet::sys {
namespace {

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
    // O_NONBLOCK: opening a FIFO must not hang.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return fail(errno_error(path, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error(path, errno));
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::invalid_input, path + ": not a regular file");
    const auto too_large = [&] {
        return fail(ErrorKind::invalid_input,
                    path + ": larger than the " + std::to_string(limit) + " bytes allowed");
    };
    if (info.st_size > 0 && static_cast<std::size_t>(info.st_size) > limit) return too_large();
    std::string text(std::min<std::size_t>(limit, static_cast<std::size_t>(info.st_size)) + 1, '\0');
    std::size_t used = 0;
    for (;;) {
        if (used == text.size()) text.resize(std::min(limit + 1, text.size() * 2));
        const auto got = ::read(fd.get(), text.data() + used, text.size() - used);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error(path, errno));
        if (got == 0) break;
        used += static_cast<std::size_t>(got);
        if (used > limit) return too_large();
    }
    text.resize(used);
    return text;
}

std::string read_short_text(const std::string& path) {
    auto text = read_file(path, 4096).value_or(std::string());
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

std::string file_stamp(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return errno_error(path, errno).message;
    std::string out;
    for (const auto number : {static_cast<long long>(info.st_dev), static_cast<long long>(info.st_ino),
                              static_cast<long long>(info.st_size), static_cast<long long>(info.st_mode),
                              static_cast<long long>(info.st_mtim.tv_sec), static_cast<long long>(info.st_mtim.tv_nsec),
                              static_cast<long long>(info.st_ctim.tv_sec), static_cast<long long>(info.st_ctim.tv_nsec)})
        out += std::to_string(number) + ' ';
    return out;
}

Result<void> write_all(int fd, std::string_view content) {
    while (!content.empty()) {
        const auto put = ::write(fd, content.data(), content.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail(errno_error("write", errno));
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

UniqueFd reopen_pipe(int fd) {
    struct stat info {};
    if (::fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode)) return {};
    UniqueFd own(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    if (!own) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    return own;
}

void never_block_on_pipe(int fd) {
    if (const auto own = reopen_pipe(fd)) ::dup2(own.get(), fd);
}

Result<void> sync_folder(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) return fail(errno_error(path, errno));
    return {};
}

Result<void> write_file_atomic(const std::string& path, std::string_view content, mode_t mode,
                               Durability durability) {
    const std::string draft = path + ".new";
    UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return fail(errno_error(draft, errno));
    const auto give_up = [&](Error error) {
        ::unlink(draft.c_str());
        return fail(std::move(error));
    };
    // The mode of an open(2) is cut by the umask, and a left-over draft keeps its old one.
    if (::fchmod(fd.get(), mode) != 0) return give_up(errno_error(draft, errno));
    if (auto written = write_all(fd.get(), content); !written) return give_up(written.error().with(draft));
    if (durability == Durability::durable && ::fdatasync(fd.get()) != 0)
        return give_up(errno_error(draft, errno));
    if (::rename(draft.c_str(), path.c_str()) != 0) return give_up(errno_error(path, errno));
    if (durability == Durability::durable) return sync_folder(folder_of(path));
    return {};
}

Result<void> make_folders(const std::string& path, mode_t mode) {
    for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
        const std::string part = path.substr(0, at);
        if (!part.empty() && ::mkdir(part.c_str(), mode) != 0 && errno != EEXIST)
            return fail(errno_error(part, errno));
        if (at == std::string::npos) return {};
    }
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
    struct Close {
        void operator()(DIR* folder) const { ::closedir(folder); }
    };
    const std::unique_ptr<DIR, Close> folder(::opendir(path.c_str()));
    if (!folder) return fail(errno_error(path, errno));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return fail(errno_error(path, errno));
    std::ranges::sort(names);
    return names;
}

}  // namespace sutfleet::sys
