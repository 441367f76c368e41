// A record that is read at a start is written again unchanged.

#include "job_record.hpp"
#include "job/content_digest.hpp"
#include "job/submit_request.hpp"

#include "fuzz.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;

void fuzz(std::string_view text) {
    must(shown_command(text).size() <= k_command_shown);
    must(content_digest(text).size() == 16);
    const auto record = decode_job_record(text);
    if (!record) return must(!record.error().message.empty());
    const auto again = decode_job_record(encode_job_record(*record));
    must(again.has_value() && *again == *record);
}
