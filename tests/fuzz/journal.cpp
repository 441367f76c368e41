#include "fuzz.hpp"
#include "job_journal.hpp"
#include "job_record.hpp"

using namespace sutfleet::agent;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(data, size);
    std::size_t used = 0;
    if (const auto entry = decode_journal_entry(text, used)) {
        must(used <= size);
        must(encode_journal_entry(*entry).size() == used);
    }
    // No fuzzer finds a digest: the whole input also as an entry's record and request.
    const JournalEntry ours{std::string(text.substr(0, size / 2)), std::string(text.substr(size / 2))};
    const auto again = decode_journal_entry(encode_journal_entry(ours), used);
    if (ours.record.size() < 60'000) must(again && again->record == ours.record && again->request == ours.request);
    const auto record = decode_job_record(text);
    if (!record) return 0;
    const auto same = decode_job_record(encode_job_record(*record));
    must(same && same->id == record->id && same->state == record->state);
    return 0;
}
