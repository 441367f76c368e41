#include "job_source.hpp"

#include <unistd.h>

#include <array>

#include "job/submit_request.hpp"
#include "job_yaml.hpp"
#include "submission.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

auto refuse(int exit, std::string message) {
    return tl::make_unexpected(Failure{exit, std::move(message)});
}

Outcome<std::string> read_stdin() {
    std::string out;
    std::array<char, 65536> part{};
    for (;;) {
        const auto got = ::read(STDIN_FILENO, part.data(), part.size());
        if (got <= 0) return out;
        out.append(part.data(), static_cast<std::size_t>(got));
        if (out.size() > k_submit_limit) return refuse(k_refused, "submit: stdin is too large");
    }
}

/// By its name alone: a script can look like YAML.
bool is_yaml(const std::string& file) {
    return file.ends_with(".yaml") || file.ends_with(".yml");
}

std::string to_lines(const std::string& file, const std::vector<ConfError>& errors) {
    std::string out;
    for (const auto& error : errors) out += (out.empty() ? "" : "\n") + to_string(file, error);
    return out;
}

}  // namespace

Outcome<std::string> submitted_text(const Options& options) {
    if (options.file.empty()) return script_of(options.words);
    if (options.file == "-") return read_stdin();
    auto text = sys::read_file(options.file, k_submit_limit);
    if (!text) return refuse(k_usage, "submit: " + text.error().message);
    if (!is_yaml(options.file)) return *std::move(text);
    auto job = job_of_yaml(*text);
    if (!job) return refuse(k_usage, to_lines(options.file, job.error()));
    return *std::move(job);
}

}  // namespace sutfleet::ctl
