#include "pump.hpp"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"
#include "sys/thread_name.hpp"

namespace sutfleet::agent {
namespace {
constexpr std::size_t k_read = 64 * 1024;
constexpr int k_retry_ms = 1000;  ///< between two attempts to write what the disk did not take
constexpr std::size_t k_unsettled_limit = 16;  ///< logs that may keep what the disk did not take
constexpr auto k_last_words = std::chrono::seconds{5};  ///< for a slow reader of stdout, at the end
constexpr int k_turns_in_a_row = 16;   ///< of one source, before the others get theirs
/// Lines that come one by one are read a few at a time: after a turn that has read less than k_much, this time passes before the
/// next one. A line after quiet is read at once.
constexpr int k_breath_ms = 4;
constexpr std::size_t k_much = 16 * 1024;
}  // namespace

Result<std::unique_ptr<Pump>> Pump::open(const sys::Wake& owner, int out, const std::string& secrets) {
    auto wake = sys::Wake::open();
    if (!wake) return fail(wake.error());
    std::unique_ptr<Pump> pump(new Pump(owner, *std::move(wake), out, secrets));
    pump->tick_ns_ = sys::boot_ns();
    pump->thread_ = std::jthread([raw = pump.get()](const std::stop_token& stop) { raw->run(stop); });
    return pump;
}

Pump::~Pump() {
    thread_.request_stop();
    wake_.notify();
}

Result<std::pair<SourceId, sys::UniqueFd>> Pump::add(std::shared_ptr<LogFile> log, const std::string& label) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail(errno_error("pipe", errno));
    sys::UniqueFd ours(ends[0]), theirs(ends[1]);
    ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(ours.get(), F_SETPIPE_SZ, 1 << 20);  // fewer turns in a flood; refused is fine
    auto source = std::make_shared<Source>();
    source->fd = std::move(ours);
    source->log = std::move(log);
    if (!label.empty()) source->label.emplace(label);
    const std::scoped_lock lock(mutex_);
    source->id = next_++;
    sources_.push_back(source);
    wake_.notify();
    return std::pair{source->id, std::move(theirs)};
}

void Pump::listen(std::size_t bytes) {
    unheard_ = 0;
    listened_ = bytes;
}

void Pump::finish(SourceId id) {
    const std::scoped_lock lock(mutex_);
    for (const auto& source : sources_)
        if (source->id == id) source->finishing = true;
    wake_.notify();
}

std::vector<SourceId> Pump::take_ended() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(ended_, {});
}

std::string Pump::trouble() const {
    const std::scoped_lock lock(mutex_);
    return trouble_;
}

std::vector<std::shared_ptr<Pump::Source>> Pump::sources() const {
    const std::scoped_lock lock(mutex_);
    return sources_;
}

bool Pump::wait(const std::vector<std::shared_ptr<Source>>& now) {
    const bool read_on = !out_.needs_time();
    const bool breathe = read_on && read_ > 0 && read_ < k_much;
    std::vector<pollfd> set{{wake_.fd(), POLLIN, 0}};
    if (out_.behind()) set.push_back({out_.fd(), POLLOUT, 0});
    if (read_on && !breathe)
        for (const auto& source : now) set.push_back({source->fd.get(), POLLIN, 0});
    const int longest = breathe ? k_breath_ms : trouble().empty() ? turn_ms_.load() : std::min(turn_ms_.load(), k_retry_ms);
    ::poll(set.data(), set.size(), longest);
    read_ = 0;
    wake_.clear();
    secrets_.now();  // also of a delivery after which nothing is printed before the next one
    settle_logs();
    if (out_.behind()) out_.catch_up();
    return read_on;
}

void Pump::close_out() {
    const auto until = sys::steady_now() + k_last_words;
    while (out_.behind() && !out_.stuck() && sys::steady_now() < until) {
        pollfd one{out_.fd(), POLLOUT, 0};
        ::poll(&one, 1, 100);
        out_.catch_up();
    }
}

void Pump::run(const std::stop_token& stop) {
    sys::name_thread("pump");
    const auto memory = std::make_unique_for_overwrite<char[]>(k_read);  // its pages come when they are needed
    const std::span buffer(memory.get(), k_read);
    while (!stop.stop_requested()) {
        tick_ns_ = sys::boot_ns();
        const auto now = sources();
        if (!wait(now)) continue;
        for (const auto& source : now) {
            bool finishing = false;
            {
                const std::scoped_lock lock(mutex_);
                finishing = source->finishing;
            }
            const bool open = empty(*source, finishing, buffer);
            if (!open || finishing) drop(*source);
        }
    }
    settle_logs();
    close_out();
}

bool Pump::empty(Source& source, bool finishing, std::span<char> buffer) {
    for (int turn = 0; turn < k_turns_in_a_row || finishing; ++turn) {
        const auto got = ::read(source.fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno == EAGAIN;
        if (got == 0) return false;
        take(source, std::string_view(buffer.data(), static_cast<std::size_t>(got)));
        read_ += static_cast<std::size_t>(got);
        tick_ns_ = sys::boot_ns();
        if (static_cast<std::size_t>(got) < buffer.size() && !finishing) return true;  // poll(2) tells of what comes now
        // A grandchild that writes for ever must not keep an ended child's pipe for ever.
        if (finishing && turn > 1024) return false;
    }
    return true;
}

/// Secrets can change while a child runs.
void Pump::renew_masker(Source& source) {
    const auto& secrets = secrets_.now();
    if (source.secrets == secrets) return;
    source.secrets = secrets;
    if (source.masker)
        source.masker->set_secrets(secrets);
    else if (!secrets->none())
        source.masker.emplace(secrets);
}

void Pump::take(Source& source, std::string_view bytes) {
    renew_masker(source);
    if (!source.masker) return pass_on(source, bytes);
    pass_on(source, source.masker->pass(bytes));
}

void Pump::pass_on(Source& source, std::string_view bytes) {
    if (!source.label) return write_out(source, bytes);
    write_out(source, source.label->pass(bytes));
}

void Pump::write_out(const Source& source, std::string_view bytes) {
    if (bytes.empty()) return;
    const auto offset = source.log->end();
    append(source.log, bytes);
    out_.pass(source.log, offset, bytes);
}

void Pump::note(const std::shared_ptr<LogFile>& log, std::string_view text) { append(log, text); }

void Pump::append(const std::shared_ptr<LogFile>& log, std::string_view bytes) {
    const auto written = log->append(bytes);
    tell_owner(bytes.size());
    if (written) return;
    owner_.notify();
    const std::scoped_lock lock(mutex_);
    if (trouble_.empty()) sys::log(sys::Level::error, written.error().message);
    trouble_ = written.error().message;
    if (std::ranges::find(unsettled_, log) != unsettled_.end()) return;
    if (unsettled_.size() == k_unsettled_limit) unsettled_.erase(unsettled_.begin());
    unsettled_.push_back(log);
}

void Pump::tell_owner(std::size_t bytes) {
    if ((unheard_ += bytes) < listened_) return;
    unheard_ = 0;
    owner_.notify();
}

/// What the disk did not take is tried again, also when nothing more is written.
void Pump::settle_logs() {
    std::vector<std::shared_ptr<LogFile>> waiting;
    {
        const std::scoped_lock lock(mutex_);
        waiting = unsettled_;
    }
    for (const auto& log : waiting) {
        if (!log->settle()) continue;
        const std::scoped_lock lock(mutex_);
        std::erase(unsettled_, log);
        if (!unsettled_.empty()) continue;
        trouble_.clear();
        sys::log(sys::Level::info, "the logs can be written again");
        owner_.notify();
    }
}

void Pump::drop(Source& source) {
    if (source.masker) pass_on(source, source.masker->end());
    if (source.label) write_out(source, source.label->end());
    const std::scoped_lock lock(mutex_);
    ended_.push_back(source.id);
    std::erase_if(sources_, [&](const auto& other) { return other->id == source.id; });
    owner_.notify();
}

}  // namespace sutfleet::agent
