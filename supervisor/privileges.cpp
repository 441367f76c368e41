#include "privileges.hpp"

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace sutfleet {

Result<void> drop_privileges(const std::string& docker_host) {
    const char* asked = std::getenv("SUTFLEET_DROP_PRIVILEGES");
    if (::geteuid() != 0 || asked == nullptr || std::string_view(asked) != "1") return {};
    constexpr std::string_view k_unix = "unix://";
    std::vector<gid_t> groups{k_supervisor_uid};
    struct stat socket {};
    if (docker_host.starts_with(k_unix) && ::stat(docker_host.substr(k_unix.size()).c_str(), &socket) == 0)
        groups.push_back(socket.st_gid);
    if (::setgroups(groups.size(), groups.data()) != 0) return fail(errno_error("setgroups", errno));
    if (::setgid(k_supervisor_uid) != 0) return fail(errno_error("setgid", errno));
    if (::setuid(k_supervisor_uid) != 0) return fail(errno_error("setuid", errno));
    return {};
}

}  // namespace sutfleet
