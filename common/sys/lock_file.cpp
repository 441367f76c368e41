#include "sys/lock_file.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "sys/file.hpp"

namespace sutfleet::sys {

Result<LockFile> LockFile::take(const std::string& path, std::string_view holder) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail(errno_error(path, errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return fail(errno_error(path, errno));
        return fail(ErrorKind::conflict, path + " is held by " + read_file(path, 256).value_or("another process"));
    }
    if (::ftruncate(fd.get(), 0) != 0) return fail(errno_error(path, errno));
    if (auto written = write_all(fd.get(), holder); !written) return fail(written.error().with(path));
    return LockFile(std::move(fd));
}

}  // namespace sutfleet::sys
