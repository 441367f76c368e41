#include "submission.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <random>

#include "core/duration.hpp"
#include "core/ids.hpp"
#include "job/submit_request.hpp"
#include "mqtt/submitter.hpp"

namespace sutfleet::ctl {
namespace {

using nlohmann::ordered_json;

std::string quote(const std::string& word) {
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_@%+=:,./-").find(c) != std::string_view::npos;
    };
    if (!word.empty() && std::ranges::all_of(word, is_plain)) return word;
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

auto refuse(int exit, std::string message) {
    return tl::make_unexpected(Failure{exit, std::move(message)});
}

}  // namespace

std::string script_of(const std::vector<std::string>& words) {
    if (words.size() == 1) return words.front();
    std::string out;
    for (const auto& word : words) out += (out.empty() ? "" : " ") + quote(word);
    return out;
}

Outcome<Submission> make_submission(const std::string& text, const std::string& id,
                                    const Options& options) {
    if (text.find_first_not_of(" \t\r\n") == std::string::npos)
        return refuse(k_usage, "submit: the command is empty");
    ordered_json object;
    if (text.starts_with('{')) {
        object = ordered_json::parse(text, nullptr, false);
        if (!object.is_object())
            return refuse(k_usage, "submit: it begins with '{' but is not a JSON object");
    } else {
        object = {{"command", text}};
    }
    if (!object.contains("id")) object["id"] = id;
    const auto own = object["id"].is_string()
                         ? JobId::parse(object["id"].get<std::string>())
                         : Result<JobId>(fail(ErrorKind::invalid_input, "'id' is not a text"));
    if (!own) return refuse(k_usage, "submit: " + own.error().message);
    if (options.timeout) object["timeout"] = format_duration(*options.timeout);
    std::string payload;
    try {
        payload = object.dump();
    } catch (const std::exception&) {
        return refuse(k_usage, "submit: the command is not UTF-8 text");
    }
    if (payload.size() > k_submit_limit)
        return refuse(k_refused, "submit: too large: " + std::to_string(payload.size()) +
                                     " bytes, at most " + std::to_string(k_submit_limit) +
                                     " are taken");
    return Submission{own->str(), std::move(payload)};
}

std::string submitter() {
    // The broker ends a connection over a property that has control characters or is no UTF-8.
    const auto property = [](const std::string& text) { return one_line(text, k_submitter_limit); };
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
    // Not the system's list of users: this program brings its own C library, which must load nothing of another one.
    for (const auto* name : {"LOGNAME", "USER"})
        if (const char* user = std::getenv(name); user != nullptr && *user != '\0') return property(std::string(user) + "@" + host.data());
    return property("uid " + std::to_string(::geteuid()) + "@" + host.data());
}

std::string make_job_id() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    std::string out(16, '\0');
    out.resize(std::strftime(out.data(), out.size(), "%Y%m%d-%H%M%S", &utc));
    out += '-';
    std::random_device random;
    for (int i = 0; i < 8; ++i) out += "0123456789abcdefghjkmnpqrstvwxyz"[random() % 32];
    return out;
}

}  // namespace sutfleet::ctl
