#include "sys/dir_watch.hpp"

#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace sutfleet::sys {

Result<DirWatch> DirWatch::open(const std::string& folder) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) return fail(errno_error("inotify", errno));
    constexpr std::uint32_t k_events = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                                       IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (::inotify_add_watch(fd.get(), folder.c_str(), k_events) < 0) return fail(errno_error(folder, errno));
    return DirWatch(std::move(fd));
}

bool DirWatch::drain(const std::function<void(const std::string& name)>& each) {
    bool gone = false;
    alignas(inotify_event) std::array<char, 4 * 1024> buffer{};
    for (;;) {
        const auto got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got <= 0) return gone;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            if ((event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0) gone = true;
            const bool named = event->len > 0;
            if (each && (named || (event->mask & IN_Q_OVERFLOW) != 0)) each(named ? std::string(event->name) : std::string());
            at += sizeof(inotify_event) + event->len;
        }
    }
}

}  // namespace sutfleet::sys
