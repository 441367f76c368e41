#include "pool/last_word.hpp"

#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"
#include "job/journal.hpp"

namespace sutfleet {
namespace {

using nlohmann::json;

bool is_final(const std::string& state) { return state != "QUEUED" && state != "RUNNING"; }

}  // namespace

LastWord last_word(const std::string& record) try {
    using Kind = LastWord::Kind;
    if (record.empty()) return {Kind::unknown, "its journal has nothing of the job"};
    if (too_deep(record)) return {Kind::unknown, "its journal means nothing: too deep"};
    const auto from = json::parse(record);
    const auto state = from.at("state").get<std::string>();
    const auto attempt = integer_of<unsigned>(from.at("attempt"));
    if (from.contains("handover") && !from.at("handover").at("granted").get<bool>()) return {Kind::never_started};
    if (is_final(state)) return {Kind::ended, {}, record};
    if (state == "RUNNING") return {Kind::cut_off, "its container went while the job ran"};
    if (attempt > 1) return {Kind::cut_off, "its container went while the job waited for its attempt " + std::to_string(attempt)};
    return {Kind::never_started};
} catch (const std::exception& error) {
    return {LastWord::Kind::unknown, "its journal means nothing: " + std::string(error.what())};
}

void JournalSearch::take(std::string_view bytes) {
    rest_ += bytes;
    step_over(k_journal_entry_limit);
}

LastWord JournalSearch::word() {
    step_over(1);
    return last_word(newest_);
}

/// All whole entries, and what is none. `enough`: as many bytes that begin no whole entry are damaged.
void JournalSearch::step_over(std::size_t enough) {
    std::size_t used = 0;
    while (used < rest_.size()) {
        std::size_t size = 0;
        if (const auto entry = decode_journal_entry(std::string_view(rest_).substr(used), size)) {
            note(entry->record);
            used += size;
        } else if (rest_.size() - used < enough) {
            break;
        } else {
            const auto line_end = rest_.find('\n', used);
            used = line_end == std::string::npos ? rest_.size() : line_end + 1;
        }
    }
    rest_.erase(0, used);
}

void JournalSearch::note(const std::string& record) {
    if (record.find(mark_) == std::string::npos || too_deep(record)) return;
    const auto from = json::parse(record, nullptr, false);
    if (from.is_object() && from.contains("id") && from["id"] == id_) newest_ = record;
}

}  // namespace sutfleet
