// A job of a queue: what the journal has of it comes back the same, and what was accepted is taken by any agent.

#include "core/timestamp.hpp"
#include "fuzz.hpp"
#include "job/submit_request.hpp"
#include "pool/pool_book.hpp"
#include "scratch.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    if (const auto job = decode_pool_job(text)) must(decode_pool_job(encode_pool_job(*job)) == *job);
    static const Scratch scratch;
    static std::unique_ptr<PoolBook> book;
    static int used = 0;
    if (used % 50 == 0) {  // another life
        book.reset();
        if (used >= 500) std::filesystem::remove(scratch.path() + "/journal"), used = 0;
        auto opened = PoolBook::open(scratch.path() + "/journal");
        must(opened.has_value());
        book = *std::move(opened);
        book->serve("lab", true);
    }
    ++used;
    book->accept("lab", text, false, {}, {}, *parse_rfc3339("2026-01-01T00:00:00.000Z"));
    const auto answers = book->take_answers();
    must(answers.size() == 1);
    const auto& said = answers.front();
    if (said.verdict == PoolBook::Verdict::rejected) return must(!said.why.empty());
    must(said.id && book->find(*said.id));
    const auto payload = book->payload(*said.id);
    must(payload.has_value());
    const auto taken = decode_submit(*payload);
    must(taken.has_value() && taken->id == said.id);
}
