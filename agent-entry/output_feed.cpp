#include "output_feed.hpp"

namespace sutfleet::agent {

std::size_t OutputFeed::cut(const std::string& text, SteadyTime now, bool flush) {
    const auto newline = text.rfind('\n');
    if (newline == std::string::npos) {
        if (flush || text.size() >= k_flood_batch) return text.size();
        if (!partial_since_) partial_since_ = now;
        if (now - *partial_since_ >= k_partial_line) return text.size();
        due_ = *partial_since_ + k_partial_line;
        return 0;
    }
    partial_since_.reset();
    return newline + 1;
}

void OutputFeed::run(SteadyTime now, bool flush, const Publish& publish) {
    due_.reset();
    while (sent_ < log_->end() && !full()) {
        if (!flush && now - last_sent_ < k_gather && log_->end() - sent_ < k_batch) {
            due_ = last_sent_ + k_gather;
            return;
        }
        auto piece = log_->read(sent_, k_flood_batch);
        const auto gone = piece.offset - sent_;
        const auto take = cut(piece.bytes, now, flush);
        if (piece.bytes.empty() || take == 0) {
            if (piece.bytes.empty()) skip(piece.offset);
            return;
        }
        const bool more = piece.offset + piece.bytes.size() < log_->end();
        piece.bytes.resize(take);
        OutputBatch batch{std::move(piece.bytes), piece.offset, take, dropped_ + gone, more && (in_flight_.size() + 1) % k_told_together != 0};
        // An empty retained payload would delete the topic: a lone empty line keeps its newline.
        if (batch.text.size() > 1 && batch.text.back() == '\n') batch.text.pop_back();
        const auto id = publish(std::move(batch));
        if (!id) return;  // an acknowledgement or a new connection comes with a wake
        dropped_ += gone;
        sent_ = piece.offset + take;
        in_flight_.push_back({*id, sent_, dropped_});
        last_sent_ = now;
        partial_since_.reset();
    }
}

/// Nothing is left of what comes next: it is accounted for with the batch before it, which may be on its way.
void OutputFeed::skip(std::uint64_t to) {
    dropped_ += to - sent_;
    sent_ = to;
    if (!in_flight_.empty()) {
        in_flight_.back().end = sent_;
        in_flight_.back().dropped = dropped_;
        return;
    }
    acknowledged_ = sent_;
    dropped_acknowledged_ = dropped_;
}

void OutputFeed::acknowledged(std::uint64_t publish_id) {
    // Acknowledgements come in order; one that is not the first covers those before it.
    for (std::size_t i = 0; i < in_flight_.size(); ++i) {
        if (in_flight_[i].id != publish_id) continue;
        acknowledged_ = in_flight_[i].end;
        dropped_acknowledged_ = in_flight_[i].dropped;
        in_flight_.erase(in_flight_.begin(), in_flight_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        return;
    }
}

void OutputFeed::rewind() {
    in_flight_.clear();
    sent_ = acknowledged_;
    dropped_ = dropped_acknowledged_;  // what is missing behind it is found again
}

}  // namespace sutfleet::agent
