#include "log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "sys/file.hpp"

namespace sutfleet::agent {

Result<std::shared_ptr<LogFile>> LogFile::open(std::string path, std::uint64_t max_bytes, unsigned keep) {
    std::shared_ptr<LogFile> log(new LogFile(std::move(path), max_bytes, keep));
    if (auto opened = log->open_segment(); !opened) return fail(opened.error());
    return log;
}

Result<void> LogFile::open_segment() {
    sys::UniqueFd fd(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!fd) return fail(errno_error(path_, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error(path_, errno));
    auto segment = std::make_shared<Segment>();
    segment->fd = std::move(fd);
    segment->begin = end_ - info.st_size;
    segment->end = end_;
    segments_.push_back(std::move(segment));
    while (segments_.size() > keep_ + 1) segments_.pop_front();
    return {};
}

Result<void> LogFile::rotate() {
    for (unsigned n = keep_; n > 0; --n) {
        const auto from = n == 1 ? path_ : path_ + "." + std::to_string(n - 1);
        if (std::rename(from.c_str(), (path_ + "." + std::to_string(n)).c_str()) != 0 && errno != ENOENT)
            return fail(errno_error(from, errno));
    }
    return open_segment();
}

Result<void> LogFile::append(std::string_view bytes) {
    const std::scoped_lock lock(mutex_);
    const auto& full = *segments_.back();
    const auto size = static_cast<std::uint64_t>(full.end - full.begin);
    Result<void> outcome;
    if (max_bytes_ != 0 && size != 0 && size + bytes.size() > max_bytes_) outcome = rotate();
    auto& segment = *segments_.back();
    const auto written = sys::write_all(segment.fd.get(), bytes);
    end_ += static_cast<std::int64_t>(bytes.size());
    if (written) {
        segment.end = end_;
        return outcome;
    }
    lost_ += bytes.size();
    // A new segment: within one, position in the file and offset must stay in step.
    if (auto opened = open_segment(); !opened) return opened;
    return fail(written.error().with(path_));
}

std::uint64_t LogFile::end() const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::uint64_t>(end_);
}

std::uint64_t LogFile::lost() const {
    const std::scoped_lock lock(mutex_);
    return lost_;
}

bool LogFile::goes_next(std::uint64_t offset) const {
    const std::scoped_lock lock(mutex_);
    return max_bytes_ != 0 && segments_.size() > keep_ && static_cast<std::int64_t>(offset) < segments_.front()->end;
}

LogFile::Piece LogFile::read(std::uint64_t offset, std::size_t limit) const {
    const std::scoped_lock lock(mutex_);
    const auto wanted = static_cast<std::int64_t>(offset);
    for (const auto& segment : segments_) {
        if (segment->end <= wanted) continue;
        const auto from = std::max(wanted, segment->begin);
        Piece piece;
        piece.offset = static_cast<std::uint64_t>(from);
        piece.bytes.resize(std::min(limit, static_cast<std::size_t>(segment->end - from)));
        const auto got = ::pread(segment->fd.get(), piece.bytes.data(), piece.bytes.size(), from - segment->begin);
        piece.bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return piece;
    }
    return {{}, static_cast<std::uint64_t>(end_)};
}

}  // namespace sutfleet::agent
