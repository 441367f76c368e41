#include "small_disk.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "sys/fd.hpp"

namespace sutfleet::test {

SmallDisk::SmallDisk(std::string folder, std::size_t bytes) : folder_(std::move(folder)) {
    const auto options = "size=" + std::to_string(bytes) + ",nr_inodes=200,mode=0755";
    if (::mount("tmpfs", folder_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
        throw std::runtime_error("cannot mount a tmpfs on " + folder_ + ": " + std::strerror(errno));
}

SmallDisk::~SmallDisk() { ::umount2(folder_.c_str(), MNT_DETACH); }

void SmallDisk::fill(std::size_t left) const {
    const auto path = folder_ + "/filler";
    const sys::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(4096, 'x');
    while (::write(fd.get(), block.data(), block.size()) > 0) {}
    const auto size = ::lseek(fd.get(), 0, SEEK_END);
    if (size < 0 || ::ftruncate(fd.get(), size - static_cast<off_t>(left)) != 0) throw std::runtime_error("cannot fill " + folder_);
}

void SmallDisk::make_room() const { ::unlink((folder_ + "/filler").c_str()); }

}  // namespace sutfleet::test
