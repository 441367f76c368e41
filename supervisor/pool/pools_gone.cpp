// What becomes of a job whose SUT is gone.

#include "pool/pools.hpp"

namespace sutfleet {

std::vector<Pools::Granted> Pools::granted() const {
    std::vector<Granted> out;
    for (const auto& job : book_->open_jobs())
        if (const auto sut = SutName::parse(job.sut); sut && job.state == PoolJob::State::granted) out.push_back({*sut, job.id, job.number});
    return out;
}

void Pools::settle_gone(const SutName& sut, const JobId& id, unsigned number, const Result<LastWord>& word) {
    const auto job = book_->find(id);
    if (!job || job->state != PoolJob::State::granted || job->sut != sut.str() || job->number != number) return;
    if (!word) {
        touched_[id].trouble = word.error().message;
        to_show_.insert(job->queue);
        return;
    }
    switch (word->kind) {
        case LastWord::Kind::never_started: return put_back(*job, sut.str() + " is gone, and had not started it");
        case LastWord::Kind::ended: return hear_record(*job, word->record);
        case LastWord::Kind::cut_off: return end(*job, "LOST", sut.str() + " is gone: " + word->why, {});
        case LastWord::Kind::unknown: return end(*job, "LOST", sut.str() + " is gone: " + word->why + ", so that nobody knows whether the job ran", {});
    }
}

}  // namespace sutfleet
