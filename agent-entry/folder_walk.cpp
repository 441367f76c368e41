#include "folder_walk.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <random>
#include <string_view>
#include <vector>

namespace sutfleet::agent {
namespace {

constexpr int k_folder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr mode_t k_mode = 0755;

struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, Close>;

/// A descriptor of its own, so that two readers of one folder do not share a position.
Folder read_folder(int folder) {
    const int own = ::openat(folder, ".", k_folder);
    if (own < 0) return nullptr;
    Folder out(::fdopendir(own));
    if (!out) ::close(own);
    return out;
}

const char* next_name(DIR* folder) {
    while (const dirent* entry = ::readdir(folder)) {
        const std::string_view name(entry->d_name);
        if (name != "." && name != "..") return entry->d_name;
    }
    return nullptr;
}

class Walk {
  public:
    Walk(const WalkLimits& limits, const std::function<bool(const WalkEntry&)>& visit) : limits_(limits), visit_(visit) {}

    bool folder(int fd, const std::string& path, std::size_t depth) {
        if (depth > limits_.depth) return false;
        const auto entries = read_folder(fd);
        if (!entries) return false;
        bool all = true;
        while (const char* name = next_name(entries.get())) {
            if (ended_ || ++seen_ > limits_.entries) return false;
            all = entry(::dirfd(entries.get()), name, path.empty() ? name : path + "/" + name, depth) && all;
        }
        return all && !ended_;
    }

  private:
    bool entry(int parent, const char* name, const std::string& path, std::size_t depth) {
        struct stat info {};
        if (path.size() > limits_.path || ::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
        if (!visit_({path, parent, name, info})) {
            ended_ = true;
            return false;
        }
        if (!S_ISDIR(info.st_mode)) return true;
        const sys::UniqueFd below(::openat(parent, name, k_folder));
        return below && folder(below.get(), path, depth + 1);
    }

    const WalkLimits& limits_;
    const std::function<bool(const WalkEntry&)>& visit_;
    std::size_t seen_ = 0;
    bool ended_ = false;
};

std::vector<std::string> parts_of(const std::string& path) {
    std::vector<std::string> out;
    for (std::size_t at = 0; at <= path.size();) {
        const auto end = std::min(path.find('/', at), path.size());
        if (end > at) out.push_back(path.substr(at, end - at));
        at = end + 1;
    }
    return out;
}

bool is_folder(int parent, const char* name) {
    struct stat info {};
    return ::fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

/// What could be neither entered nor written. Where that fails, what comes next says so.
void open_to_us(int parent, const char* name) { [[maybe_unused]] const int failed = ::fchmodat(parent, name, 0700, 0); }

/// How far a removal has come.
struct Removal {
    std::size_t done = 0;    ///< entries that went, or were moved up
    std::size_t number = 0;  ///< of the last name that was given
    /// What no job can have guessed: a name that is taken would end the removal.
    const std::string prefix = ".removed-" + std::to_string(std::random_device{}()) + "-";
};

/// Takes a folder's entries away: files at once, folders up to where it is itself, so that no depth is ever too deep.
void empty_into(int parent, const char* name, Removal& removal) {
    open_to_us(parent, name);
    const sys::UniqueFd fd(::openat(parent, name, k_folder));
    const auto entries = fd ? read_folder(fd.get()) : nullptr;
    while (const char* below = entries ? next_name(entries.get()) : nullptr) {
        bool gone = ::unlinkat(fd.get(), below, 0) == 0;
        if (!gone && is_folder(fd.get(), below)) {
            open_to_us(fd.get(), below);  // to move it means to write its `..`
            const auto free_name = removal.prefix + std::to_string(++removal.number);
            gone = ::unlinkat(fd.get(), below, AT_REMOVEDIR) == 0 || ::renameat(fd.get(), below, parent, free_name.c_str()) == 0;
        }
        if (gone) ++removal.done;
    }
}

}  // namespace

bool walk_folder(int folder, const WalkLimits& limits, const std::function<bool(const WalkEntry&)>& visit) {
    return Walk(limits, visit).folder(folder, {}, 0);
}

Result<sys::UniqueFd> open_folder(const std::string& path) {
    sys::UniqueFd fd(::open(path.c_str(), k_folder));
    if (!fd) return fail(errno_error(path, errno));
    return fd;
}

Result<sys::UniqueFd> open_below(int folder, const std::string& path, int flags) {
    const auto parts = parts_of(path);
    sys::UniqueFd at;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i] == "." || parts[i] == "..") return fail(ErrorKind::invalid_input, path + ": expected a path below a folder");
        const int how = i + 1 == parts.size() ? flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC : k_folder;
        sys::UniqueFd next(::openat(i == 0 ? folder : at.get(), parts[i].c_str(), how, 0644));
        if (!next) return fail(errno_error(path, errno));
        at = std::move(next);
    }
    if (!at) return fail(ErrorKind::invalid_input, "expected a path below a folder, found none");
    return at;
}

Result<sys::UniqueFd> make_folders_below(int folder, const std::string& path) {
    sys::UniqueFd at(::openat(folder, ".", k_folder));
    if (!at) return fail(errno_error(path, errno));
    for (const auto& part : parts_of(path)) {
        if (part == "." || part == "..") return fail(ErrorKind::invalid_input, path + ": expected a path below a folder");
        if (::mkdirat(at.get(), part.c_str(), k_mode) != 0 && errno != EEXIST) return fail(errno_error(path, errno));
        sys::UniqueFd next(::openat(at.get(), part.c_str(), k_folder));
        if (!next) return fail(errno_error(path, errno));
        at = std::move(next);
    }
    return at;
}

Result<void> remove_folder(const std::string& path, const std::function<bool()>& go_on) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};  // a link goes, not what it points to
    open_to_us(AT_FDCWD, path.c_str());
    const auto top = open_folder(path);
    if (!top) return fail(top.error());
    Removal removal;
    for (bool more = true; more;) {
        const auto before = removal.done;
        const auto entries = read_folder(top->get());
        while (const char* name = entries ? next_name(entries.get()) : nullptr) {
            if (!go_on()) return fail(ErrorKind::transient, path + ": not all of it was removed");
            bool gone = ::unlinkat(top->get(), name, 0) == 0;
            if (!gone && is_folder(top->get(), name)) {
                empty_into(top->get(), name, removal);
                gone = ::unlinkat(top->get(), name, AT_REMOVEDIR) == 0;
            }
            if (gone) ++removal.done;
        }
        more = removal.done != before;
    }
    if (::rmdir(path.c_str()) != 0) return fail(errno_error(path, errno));
    return {};
}

}  // namespace sutfleet::agent
