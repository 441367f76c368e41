#include "core/result.hpp"

#include <cerrno>
#include <system_error>

namespace sutfleet {

std::string_view to_string(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::transient: return "transient";
        case ErrorKind::permanent: return "permanent";
        case ErrorKind::not_found: return "not found";
        case ErrorKind::conflict: return "conflict";
        case ErrorKind::invalid_input: return "invalid input";
    }
    return "unknown";
}

Error errno_error(std::string_view what, int errno_value) {
    auto kind = ErrorKind::permanent;
    if (errno_value == ENOENT || errno_value == ENOTDIR) kind = ErrorKind::not_found;
    if (errno_value == EAGAIN || errno_value == EINTR || errno_value == ENOSPC ||
        errno_value == ENOMEM || errno_value == EMFILE || errno_value == ENFILE)
        kind = ErrorKind::transient;
    if (errno_value == EEXIST || errno_value == EBUSY) kind = ErrorKind::conflict;
    return {kind, std::string(what) + ": " + std::generic_category().message(errno_value)};
}

}  // namespace sutfleet
