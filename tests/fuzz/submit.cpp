// What the commands find of an accepted job as JSON is the same job.

#include "job/submit_request.hpp"

#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    const auto job = decode_submit(text);
    if (!job) return must(!job.error().message.empty());
    must(job->command.find('\0') == std::string::npos);
    if (job->json.size() <= k_submit_limit) {
        const auto same = decode_submit(job->json);
        must(same.has_value() && same->json == job->json);
        // A plain text may have bytes that are not UTF-8; JSON has others in their place.
        if (text.front() == '{') must(*same == *job);
    }
    if (job->id) must(JobId::parse(job->id->str()) == *job->id);
    for (const auto& [name, value] : job->env) must(!name.empty() && name.find('=') == std::string::npos);
}
