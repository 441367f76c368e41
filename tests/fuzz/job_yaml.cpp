// A job file is refused with a place for each error, or the agent takes what was made of it.

#include "job_yaml.hpp"

#include "fuzz.hpp"
#include "job/submit_request.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    const auto job = ctl::job_of_yaml(text);
    if (job) return must(job->size() > k_submit_limit || decode_submit(*job).has_value());
    must(!job.error().empty());
    for (const auto& error : job.error()) must(error.line > 0 && error.column > 0 && !error.message.empty());
}
