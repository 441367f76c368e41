#pragma once
// What `submit` publishes: always a JSON object with an id, so that it runs exactly once. Pure.

#include <string>
#include <vector>

#include "exit.hpp"
#include "options.hpp"

namespace sutfleet::ctl {

struct Submission {
    std::string id;
    std::string payload;
};

/// One word is a script; several are quoted, so that the shell runs exactly them.
std::string script_of(const std::vector<std::string>& words);
/// @param text a script, or a job's JSON object; an id in it is kept, else `id` is put in
Outcome<Submission> make_submission(const std::string& text, const std::string& id,
                                    const Options& options);
/// `user@host`, for the record: what this machine says of whoever runs us.
std::string submitter();
/// `20261231-235959-k3x9q2`: sorts by time.
std::string make_job_id();

}  // namespace sutfleet::ctl
