// The agent's answers to `cmd/tail`.

#include "agent.hpp"
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

}  // namespace sutfleet::agent
