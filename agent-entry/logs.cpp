// What the agent does with its logs beside the feeds: the answers to `cmd/tail`, and the last output of its life.

#include <algorithm>

#include "agent.hpp"
#include "sys/clock.hpp"
#include "tail.hpp"

namespace sutfleet::agent {

Result<std::string> Agent::tail(const std::string& payload) {
    const auto request = decode_tail(payload);
    if (!request) return fail(request.error());
    if (tails_.size() >= k_tails_in_flight) return fail(ErrorKind::transient, "busy: other answers are still on their way; ask again");
    if (!request->job) return encode_tail(tail_of(*log_, *request), *request, boot_);
    if (current_ && current_->record.id == *request->job) return encode_tail(tail_of(*current_->log, *request), *request, boot_);
    auto piece = tail_of_file(book_->folder(), *request->job, *request);
    if (!piece) return fail(piece.error());
    return encode_tail(*std::move(piece), *request, boot_);
}

/// What was written last goes out before the connection is closed, as far as the broker takes it in time.
void Agent::send_last_output(std::chrono::milliseconds limit) {
    const auto deadline = sys::steady_now() + limit;
    const auto idle = [&] { return feed_.idle() && std::ranges::all_of(trailing_, [](const Trailing& old) { return old.feed.idle(); }); };
    for (auto now = sys::steady_now(); !idle() && session_->connected() && now < deadline; now = sys::steady_now()) {
        wait();
        heartbeat_->main_ticked();
        look_for_output(now);
        hear_signals(now);
        hear_broker(now);
        feed_output(now);
    }
}

}  // namespace sutfleet::agent
