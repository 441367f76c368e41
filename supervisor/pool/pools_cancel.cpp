// The cancel of a job in a queue.

#include "pool/pools.hpp"
#include "sys/clock.hpp"
#include "sys/crash_point.hpp"
#include "sys/log.hpp"

namespace sutfleet {

Result<std::string> Pools::cancel(std::string_view argument, mqtt::Session& session, SteadyTime now) {
    const auto space = argument.find(' ');
    const auto queue = std::string(argument.substr(0, space));
    const auto name = space == std::string_view::npos ? std::string() : std::string(argument.substr(space + 1));
    const auto id = JobId::parse(name);
    if (!id) return fail(ErrorKind::invalid_input, "expected '<queue> <job id>', not '" + std::string(argument) + "'");
    auto job = book_->find(*id);
    if (!job || job->queue != queue) return fail(ErrorKind::not_found, "no job " + name + " in the queue '" + queue + "'");
    if (job->state == PoolJob::State::ended) return fail(ErrorKind::conflict, "job " + name + " is " + job->result);
    const bool granted = job->state == PoolJob::State::granted;
    if (granted) {
        job->cancel = true;
    } else {
        // Before the journal has it: an offer that was taken back and is made again gets another number.
        if (job->state == PoolJob::State::offered) send(session, *job, "withdraw", now);
        sys::crash_point("pool: withdrawn, not canceled");
        job->state = PoolJob::State::ended;
        job->sut.clear();
        job->result = "CANCELED";
        job->reason = "canceled in the queue";
        job->finished = format_rfc3339(sys::wall_now());
    }
    if (const auto kept = book_->update(*job); !kept) return fail(kept.error().with("the journal of the queues cannot be written"));
    sys::crash_point("pool: canceled, not said");
    if (!granted) return "canceled " + name;
    touched_[*id].sent = {};  // it is told at the next turn
    return "canceling " + name + " on " + job->sut;
}

/// Of one that the SUT has started; what has not, the grant ends.
void Pools::send_cancel(mqtt::Session& session, const SutName& sut, const JobId& id) {
    mqtt::Publication publication;
    publication.topic = topics_.command(sut, "cancel");
    publication.payload = id.str();
    if (const auto sent = session.publish(std::move(publication)); !sent) sys::log(sys::Level::debug, sent.error().message);
}

}  // namespace sutfleet
