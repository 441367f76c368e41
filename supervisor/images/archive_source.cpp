#include "archive_source.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "sys/beneath.hpp"

namespace sutfleet {
namespace {

std::string differs(const std::string& shown, const std::string& wanted, const std::string& found) {
    return shown + " has the sha256 " + found + ": expected " + wanted + "; it is not loaded";
}

}  // namespace

Result<ArchiveSource> ArchiveSource::open(const std::string& folder, const std::string& file, const std::string& sha256,
                                          std::uint64_t limit, const std::function<bool()>& go_on) {
    auto opened = sys::open_beneath(folder, file);
    if (!opened) return fail(opened.error());
    const auto shown = folder + "/" + file;
    struct stat status {};
    if (::fstat(opened->get(), &status) != 0) return fail(errno_error(shown, errno));
    if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid_input, shown + " is no file");
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size > limit) return fail(ErrorKind::invalid_input, shown + " is larger than " + std::to_string(limit >> 20) + " MiB");
    Sha256 sum;
    std::vector<char> part(1 << 20);
    for (std::uint64_t at = 0; at < size;) {
        if (!go_on()) return fail(ErrorKind::transient, "it was ended");
        const auto got = ::pread(opened->get(), part.data(), part.size(), static_cast<off_t>(at));
        if (got < 0) return fail(errno_error(shown, errno));
        if (got == 0) break;
        sum.add(part.data(), static_cast<std::size_t>(got));
        at += static_cast<std::uint64_t>(got);
    }
    if (const auto found = sum.hex(); found != sha256) return fail(ErrorKind::invalid_input, differs(shown, sha256, found));
    return ArchiveSource(shown, *std::move(opened), size, sha256);
}

Result<std::size_t> ArchiveSource::read(char* into, std::size_t size) {
    if (left_ == 0) return 0U;
    const auto got = ::read(file_.get(), into, std::min<std::uint64_t>(left_, size));
    if (got < 0) return fail(errno_error(shown_, errno));
    if (got == 0) return fail(ErrorKind::transient, shown_ + " became shorter while it was read");
    sum_.add(into, static_cast<std::size_t>(got));
    left_ -= static_cast<std::uint64_t>(got);
    if (left_ > 0) return static_cast<std::size_t>(got);
    if (const auto found = sum_.hex(); found != sha256_) return fail(ErrorKind::invalid_input, differs(shown_, sha256_, found));
    return static_cast<std::size_t>(got);
}

}  // namespace sutfleet
