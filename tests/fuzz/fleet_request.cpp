// Whatever a client asks, the answer is a JSON object that carries the request's transaction.

#include <nlohmann/json.hpp>

#include "fuzz.hpp"
#include "report.hpp"

using namespace sutfleet;
using nlohmann::json;

void fuzz(std::string_view text) {
    const auto answer = json::parse(encode_answer(std::string("done"), std::string(text)), nullptr, false);
    must(answer.is_object() && answer.at("status") == "ok" && answer.contains("transaction"));
    const auto jobs = json::parse(text, nullptr, false);
    must(job_runs(text) == (jobs.is_object() && jobs.contains("running") && jobs.at("running").is_string()));
}
