// An accepted job must be readable from its journal: otherwise it is acknowledged and can never run.

#include "submit_request.hpp"

#include "fuzz.hpp"

using namespace sutfleet::agent;

void fuzz(std::string_view text) {
    const auto job = decode_submit(text);
    if (!job) return must(!job.error().message.empty());
    must(job->command.find('\0') == std::string::npos);
    const auto journalled = decode_journalled(job->json);
    must(journalled.has_value());
    must(journalled->json == job->json);
    // A plain text may have bytes that are not UTF-8; the journal replaces those.
    if (text.front() == '{') must(*journalled == *job);
    if (job->id) must(sutfleet::JobId::parse(job->id->str()) == *job->id);
    for (const auto& [name, value] : job->env) must(!name.empty() && name.find('=') == std::string::npos);
}
