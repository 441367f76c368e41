// What is taken for a whole journal entry is one that we wrote, and comes back the same.

#include "job/journal.hpp"

#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    std::size_t used = 0;
    if (const auto entry = decode_journal_entry(text, used)) {
        must(used <= text.size());
        must(encode_journal_entry(*entry).size() == used);
    }
    // No fuzzer finds a digest: the input also as the parts of an entry.
    const JournalEntry ours{std::string(text.substr(0, text.size() / 2)), std::string(text.substr(text.size() / 2))};
    const auto again = decode_journal_entry(encode_journal_entry(ours) + "rest", used);
    must(again.has_value() && again->record == ours.record && again->request == ours.request);
}
