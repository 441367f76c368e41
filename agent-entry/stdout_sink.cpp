#include "stdout_sink.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_piece = 64 * 1024;
constexpr int k_pieces_at_once = 16;
constexpr std::size_t k_most_owed = 100;   ///< logs, each of a job that has ended meanwhile

}  // namespace

StdoutSink::StdoutSink(int fd) : given_(fd), own_(sys::reopen_pipe(fd)), fd_(own_ ? own_.get() : given_) {}

void StdoutSink::pass(const std::shared_ptr<LogFile>& log, std::uint64_t offset, std::string_view bytes) {
    if (!owed_.empty()) {
        const auto same = [&](const Owed& owed) { return owed.log == log; };
        if (std::ranges::any_of(owed_, same)) return;  // it goes on to the log's end anyway
    } else {
        moved_ = sys::steady_now();
        const auto done = write_patiently(bytes);
        if (done == bytes.size()) return;
        offset += done;
    }
    owed_.push_back({log, offset});
    if (owed_.size() > k_most_owed) {
        missed_ += owed_.front().log->end() - owed_.front().from;
        owed_.pop_front();
    }
    look_at_reader();
}

std::size_t StdoutSink::write(std::string_view bytes) {
    for (;;) {
        const auto put = ::write(fd_, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0 && errno == EAGAIN) return 0;
        moved_ = sys::steady_now();
        // Nobody will ever read it, or it is full: it is the engine's, and nothing can be done about that here.
        return put < 0 ? bytes.size() : static_cast<std::size_t>(put);
    }
}

std::size_t StdoutSink::write_patiently(std::string_view bytes) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        done += write(bytes.substr(done));
        if (done == bytes.size()) break;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(moved_ + k_patience - sys::steady_now()).count();
        if (left <= 0) break;
        pollfd one{fd_, POLLOUT, 0};
        ::poll(&one, 1, static_cast<int>(left));
    }
    return done;
}

/// @return false when the reader takes no more for now
bool StdoutSink::pay(Owed& owed) {
    const auto end = std::max(owed.log->end(), owed.from);
    const auto piece = owed.log->read(owed.from, k_piece);
    missed_ += piece.offset - owed.from;
    owed.from = piece.offset;
    if (piece.bytes.empty()) {
        missed_ += end - owed.from;
        owed.from = end;
        return true;
    }
    const auto put = write(piece.bytes);
    owed.from += put;
    return put != 0;
}

void StdoutSink::catch_up() {
    for (int i = 0; i < k_pieces_at_once && !owed_.empty() && pay(owed_.front()); ++i)
        if (owed_.front().from == owed_.front().log->end()) owed_.pop_front();
    look_at_reader();
}

bool StdoutSink::needs_time() const {
    return !stuck_ && std::ranges::any_of(owed_, [](const Owed& owed) { return owed.log->goes_next(owed.from); });
}

void StdoutSink::look_at_reader() {
    const bool stuck = behind() && sys::steady_now() - moved_ >= k_patience;
    if (stuck == stuck_) return;
    stuck_ = stuck;
    if (stuck) return sys::log(sys::Level::warn, "nobody reads the container's stdout: what it has to get waits in the log");
    sys::log(sys::Level::info, "the container's stdout is read again; missing in it: " + std::to_string(missed_) + " bytes");
    missed_ = 0;
}

}  // namespace sutfleet::agent
