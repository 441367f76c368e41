#include "sys/beneath.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "core/image_context.hpp"

namespace sutfleet::sys {
namespace {

Error explain(int folder, const std::string& name, const std::string& whole) {
    const int error = errno;
    struct stat status {};
    if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
        return {ErrorKind::invalid_input, whole + ": '" + name + "' is a link: expected the file or folder itself"};
    if (error == ENOENT || error == ENOTDIR) return {ErrorKind::not_found, whole + " is not there"};
    return errno_error(whole, error);
}

}  // namespace

Result<UniqueFd> open_beneath(const std::string& folder, std::string_view path) {
    const auto whole = folder + "/" + std::string(path);
    if (!stays_beneath(path)) return fail(ErrorKind::invalid_input, whole + ": expected a path within the folder, without '..'");
    UniqueFd at(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!at) return fail(errno == ENOENT ? Error{ErrorKind::not_found, folder + " is not there"} : errno_error(folder, errno));
    for (;;) {
        const std::string name(path.substr(0, path.find('/')));
        const bool last = name.size() == path.size();
        UniqueFd next(::openat(at.get(), name.c_str(), O_NOFOLLOW | O_CLOEXEC | (last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY)));
        if (!next) return fail(explain(at.get(), name, whole));
        if (last) return next;
        at = std::move(next);
        path.remove_prefix(name.size() + 1);
    }
}

}  // namespace sutfleet::sys
