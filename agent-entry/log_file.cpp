#include "log_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/heartbeat.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"

namespace sutfleet::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto k_retry = 1s;
/// The window is cut by more than what came: not for each line anew.
constexpr std::size_t k_window_after_cut = k_memory_window - k_memory_window / 4;
constexpr std::size_t k_longest_cut_line = 64 * 1024;

Result<std::pair<sys::UniqueFd, std::uint64_t>> open_regular(const std::string& path, int flags) {
    // A job may have put anything in its log's place: no link is followed, and no pipe is waited for.
    sys::UniqueFd fd(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644));
    if (!fd) return fail(errno_error(path, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error(path, errno));
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::permanent, path + ": expected a regular file");
    return std::pair{std::move(fd), static_cast<std::uint64_t>(info.st_size)};
}

std::string text_of(int error) { return std::generic_category().message(error); }

}  // namespace

std::size_t bytes_before_rotation(std::uint64_t size, char last, std::string_view bytes, std::uint64_t max_bytes) {
    if (max_bytes == 0 || size + bytes.size() <= max_bytes) return bytes.size();
    const std::uint64_t twice = 2 * max_bytes, most = max_bytes + k_longest_line;
    const auto room = static_cast<std::size_t>(max_bytes > size ? max_bytes - size : 0);
    if (const auto end = bytes.substr(0, room).rfind('\n'); end != std::string_view::npos) return end + 1;
    if (size != 0 && (last == '\n' || (last == '\r' && size >= twice) || size >= most)) return 0;
    if (const auto end = bytes.find('\n'); end != std::string_view::npos) return end + 1;
    if (size + bytes.size() < twice) return bytes.size();
    const auto from = static_cast<std::size_t>(size + 1 < twice ? twice - size - 1 : 0);
    if (const auto end = bytes.find('\r', from); end != std::string_view::npos) return end + 1;
    return static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), most - size));
}

Result<std::shared_ptr<LogFile>> LogFile::open(std::string path, std::uint64_t max_bytes, unsigned keep) {
    std::shared_ptr<LogFile> log(new LogFile(std::move(path), max_bytes, keep));
    if (max_bytes != 0) log->find_rotated();
    if (auto opened = log->open_newest(); !opened) return fail(opened.error());
    return log;
}

std::shared_ptr<LogFile> LogFile::open_later(std::string path, std::uint64_t max_bytes, unsigned keep, const Error& why) {
    std::shared_ptr<LogFile> log(new LogFile(std::move(path), max_bytes, keep));
    if (max_bytes != 0) log->find_rotated();
    log->files_.push_back(nullptr);  // the newest
    log->trouble_ = why;
    return log;
}

void LogFile::set_limits(std::uint64_t max_bytes, unsigned keep) {
    max_bytes_ = max_bytes;
    keep_ = keep;
}

/// What an earlier life has left, for readers.
void LogFile::find_rotated() {
    for (unsigned n = keep_; n > 0; --n)
        if (auto found = open_regular(rotated(n), O_RDONLY)) add_file(std::move(found->first), found->second);
}

void LogFile::add_file(sys::UniqueFd fd, std::uint64_t size) {
    auto file = std::make_shared<const sys::UniqueFd>(std::move(fd));
    const std::scoped_lock lock(mutex_);
    segments_.push_back({file, end_, end_ + size, 0});
    files_.push_back(std::move(file));
    end_ += size;
}

Result<void> LogFile::open_newest() {
    auto newest = open_regular(path_, O_RDWR | O_CREAT | O_APPEND);
    if (!newest) return fail(newest.error());
    size_ = newest->second;
    last_ = '\n';
    if (size_ > 0 && ::pread(newest->first.get(), &last_, 1, static_cast<off_t>(size_ - 1)) != 1) last_ = '\n';
    add_file(std::move(newest->first), size_);
    return {};
}

/// The new file is there before an old one is moved, and a gap in the numbers, as a crash or an error leaves it, is
/// filled first: an attempt that fails, and the next one, lose nothing.
Result<void> LogFile::rotate() {
    const unsigned keep = std::max(1U, keep_.load());
    const auto draft = path_ + ".new";
    ::unlink(draft.c_str());
    auto fresh = open_regular(draft, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
    if (!fresh) return fail(explain("cannot rotate", errno));
    unsigned last = 1;
    while (last < keep && ::access(rotated(last).c_str(), F_OK) == 0) ++last;
    for (unsigned n = last; n > 0; --n) {
        const auto from = n == 1 ? path_ : rotated(n - 1);
        if (std::rename(from.c_str(), rotated(n).c_str()) != 0 && errno != ENOENT) return fail(explain("cannot rotate", errno));
    }
    if (std::rename(draft.c_str(), path_.c_str()) != 0) return fail(explain("cannot rotate", errno));
    for (unsigned n = keep + 1; ::unlink(rotated(n).c_str()) == 0;) ++n;  // `keep` was more than it is now
    size_ = 0;
    last_ = '\n';
    add_file(std::move(fresh->first), 0);
    std::vector<std::shared_ptr<const sys::UniqueFd>> removed;  // closed without the lock: that can take a while
    const std::scoped_lock lock(mutex_);
    while (files_.size() > keep + 1) {
        std::erase_if(segments_, [&](const Segment& segment) { return segment.file == files_.front(); });
        removed.push_back(std::move(files_.front()));
        files_.pop_front();
    }
    return {};
}

/// A rotation that fails must not cost a byte: the file grows until it can be done.
std::size_t LogFile::next_part(std::string_view bytes) {
    for (;;) {
        const auto part = bytes_before_rotation(size_, last_, bytes, max_bytes_);
        if (part != 0) return part;
        if (const auto now = sys::steady_now(); now < rotate_at_) return bytes.size();
        if (auto done = rotate(); !done) {
            trouble_ = done.error();
            rotate_at_ = sys::steady_now() + k_retry;
            return bytes.size();
        }
        rotate_at_ = {};
    }
}

/// A file whose bytes, if it has any, are no part of the stream: what waits in memory goes behind them.
Result<void> LogFile::open_behind_window() {
    if (!sys::make_folders(path_.substr(0, path_.rfind('/')), 0755)) return fail(explain("cannot open", errno));
    auto fresh = open_regular(path_, O_RDWR | O_CREAT | O_APPEND);
    if (!fresh) return fail(explain("cannot open", errno));
    size_ = fresh->second;
    last_ = '\n';
    add_file(std::move(fresh->first), 0);
    return {};
}

Result<std::size_t> LogFile::put(std::string_view bytes) {
    std::shared_ptr<const sys::UniqueFd> file;
    {
        const std::scoped_lock lock(mutex_);
        file = files_.back();
    }
    for (;;) {
        const auto put = ::write(file->get(), bytes.data(), bytes.size());
        if (put > 0) return static_cast<std::size_t>(put);
        if (put < 0 && errno == EINTR) continue;
        return fail(explain("cannot write", put == 0 ? ENOSPC : errno));
    }
}

/// `size` bytes are in the newest file; normally where they were expected, but somebody may have truncated it.
void LogFile::wrote(std::uint64_t position, std::size_t size, char last, bool from_window) {
    const std::scoped_lock lock(mutex_);
    const auto begin = end_ - window_.size();
    auto& newest = segments_.back();
    const bool follows = newest.file == files_.back() && newest.end == begin && newest.at + (newest.end - newest.begin) + size == position;
    if (!follows) {
        const auto at = position - size;
        for (auto& segment : segments_)  // what was in the file from there on is gone
            if (segment.file == files_.back() && segment.at + (segment.end - segment.begin) > at)
                segment.end = segment.begin + (at > segment.at ? at - segment.at : 0);
        segments_.push_back({files_.back(), begin, begin, at});
    }
    segments_.back().end += size;
    from_window ? static_cast<void>(window_.erase(0, size)) : static_cast<void>(end_ += size);
    size_ = position;
    last_ = last;
}

/// Takes from `bytes` what is in the file.
Result<void> LogFile::write(std::string_view& bytes) {
    while (!bytes.empty()) {
        const auto part = bytes.substr(0, next_part(bytes));
        const auto done = put(part);
        if (!done) return fail(done.error());
        const auto position = ::lseek(files_.back()->get(), 0, SEEK_CUR);  // with O_APPEND: the end of what was written
        wrote(position < 0 ? size_ + *done : static_cast<std::uint64_t>(position), *done, part[*done - 1], false);
        bytes.remove_prefix(*done);
    }
    if (rotate_at_ != SteadyTime{}) return fail(trouble_);
    return {};
}

/// Only what waits keeps the order of what is appended.
bool LogFile::waits() const { return !files_.back() || !window_.empty() || !mark_.empty() || unmarked_ > 0; }

Result<void> LogFile::append(std::string_view bytes) {
    const std::scoped_lock writing(writing_);
    if (!waits()) {
        auto written = write(bytes);
        if (bytes.empty()) return written;
        trouble_ = written.error();
        retry_at_ = sys::steady_now() + k_retry;
    }
    hold(bytes);
    return fail(trouble_);
}

void LogFile::hold(std::string_view bytes) {
    const std::scoped_lock lock(mutex_);
    window_.append(bytes);
    end_ += bytes.size();
    if (window_.size() <= k_memory_window) return;
    auto cut = window_.size() - k_window_after_cut;
    if (const auto newline = window_.find('\n', cut - 1); newline != std::string::npos && newline < cut + k_longest_cut_line)
        cut = newline + 1;
    window_.erase(0, cut);
    unmarked_ += cut;
    lost_ += cut;
}

Result<void> LogFile::settle() {
    const std::scoped_lock writing(writing_);
    if (!waits() && rotate_at_ == SteadyTime{}) return {};
    const auto now = sys::steady_now();
    if (now < retry_at_) return fail(trouble_);
    retry_at_ = now + k_retry;
    if (auto opened = let_go_of_removed(); !opened) return opened;
    auto written = write_mark();
    if (written) written = write_window();
    if (written && rotate_at_ != SteadyTime{} && last_ == '\n') written = rotate();
    rotate_at_ = {};
    if (!written) trouble_ = written.error();
    return written;
}

Result<void> LogFile::write_mark() {
    while (!mark_.empty() || unmarked_ > 0) {
        if (mark_.empty()) {
            const auto why = trouble_.message.substr(trouble_.message.rfind(": ") + 2);
            mark_ = (last_ == '\n' ? "" : "\n") + std::string("[sutfleet: ") + std::to_string(unmarked_) + " bytes are missing here: " + why + "]\n";
            unmarked_ = 0;
        }
        const auto done = put(mark_);
        if (!done) return fail(done.error());
        size_ += *done;
        last_ = mark_[*done - 1];
        mark_.erase(0, *done);
    }
    return {};
}

Result<void> LogFile::write_window() {
    while (!window_.empty()) {
        const auto part = std::string_view(window_).substr(0, next_part(window_));
        const auto done = put(part);
        if (!done) return fail(done.error());
        const auto position = ::lseek(files_.back()->get(), 0, SEEK_CUR);
        wrote(position < 0 ? size_ + *done : static_cast<std::uint64_t>(position), *done, part[*done - 1], true);
    }
    const std::scoped_lock lock(mutex_);
    window_.shrink_to_fit();
    return {};
}

/// A file that somebody has removed to make room takes its room until it is closed.
Result<void> LogFile::let_go_of_removed() {
    const auto is_removed = [](const std::shared_ptr<const sys::UniqueFd>& file) {
        struct stat info {};
        return !file || (::fstat(file->get(), &info) == 0 && info.st_nlink == 0);
    };
    if (is_removed(files_.back()))
        if (auto opened = open_behind_window(); !opened) return trouble_ = opened.error(), opened;
    std::vector<std::shared_ptr<const sys::UniqueFd>> removed;
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i + 1 < files_.size();) {
        if (!is_removed(files_[i])) {
            ++i;
            continue;
        }
        std::erase_if(segments_, [&](const Segment& segment) { return segment.file == files_[i]; });
        removed.push_back(std::move(files_[i]));
        files_.erase(files_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return {};
}

Error LogFile::explain(std::string_view what, int error) const {
    const auto where = path_ + ": " + text_of(error);
    if (error == ENOSPC || error == EDQUOT)
        return {ErrorKind::transient, std::string(k_no_room) + ", make some on the state volume: " + where};
    return {ErrorKind::permanent, std::string(what) + " the log " + where};
}

std::uint64_t LogFile::begin() const {
    const std::scoped_lock lock(mutex_);
    for (const auto& segment : segments_)
        if (segment.end > segment.begin) return segment.begin;
    return end_ - window_.size();
}

std::uint64_t LogFile::end() const {
    const std::scoped_lock lock(mutex_);
    return end_;
}

std::uint64_t LogFile::lost() const {
    const std::scoped_lock lock(mutex_);
    return lost_;
}

bool LogFile::goes_next(std::uint64_t offset) const {
    const std::scoped_lock lock(mutex_);
    if (window_.size() > k_memory_window / 2 && offset < end_ - window_.size() / 2) return true;
    if (max_bytes_ == 0 || files_.size() <= keep_) return false;
    return std::ranges::any_of(segments_, [&](const Segment& segment) { return segment.file == files_.front() && offset < segment.end; });
}

LogFile::Plan LogFile::plan(std::uint64_t offset, std::size_t limit) const {
    const std::scoped_lock lock(mutex_);
    Plan out;
    auto next = offset;
    const auto take = [&](std::uint64_t begin, std::uint64_t end) -> std::size_t {
        if (limit == 0 || end <= next || begin == end) return 0;
        if (begin > next && next != offset) return limit = 0;  // after a gap: in the next piece
        next = std::max(next, begin);
        if (out.parts.empty()) out.offset = offset = next;
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(limit, end - next));
        limit -= size;
        next += size;
        return size;
    };
    for (const auto& segment : segments_)
        if (const auto size = take(segment.begin, segment.end); size > 0)
            out.parts.push_back({segment.file, segment.at + (next - size - segment.begin), size});
    const auto window = end_ - window_.size();
    if (const auto size = take(window, end_); size > 0) out.from_memory = window_.substr(next - size - window, size);
    if (out.parts.empty() && out.from_memory.empty()) out.offset = end_;
    return out;
}

LogFile::Piece LogFile::read(std::uint64_t offset, std::size_t limit) const {
    for (;;) {
        auto wanted = plan(offset, limit);
        Piece piece{{}, wanted.offset};
        if (wanted.parts.empty()) return {std::move(wanted.from_memory), wanted.offset};
        bool whole = true;
        for (const auto& part : wanted.parts) {
            const auto had = piece.bytes.size();
            piece.bytes.resize(had + part.size);
            const auto got = ::pread(part.file->get(), piece.bytes.data() + had, part.size, static_cast<off_t>(part.at));
            whole = got == static_cast<ssize_t>(part.size);
            if (whole) continue;
            piece.bytes.resize(had + static_cast<std::size_t>(std::max<ssize_t>(0, got)));
            break;
        }
        if (whole) piece.bytes += wanted.from_memory;
        if (!piece.bytes.empty()) return piece;
        offset = wanted.offset + wanted.parts.front().size;  // not there any more, whatever took it away
    }
}

}  // namespace sutfleet::agent
