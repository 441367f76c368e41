#include "output_printer.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

namespace sutfleet::ctl {
namespace {

std::string property(const mqtt::Message& message, std::string_view name) {
    for (const auto& [key, value] : message.user_properties)
        if (key == name) return value;
    return {};
}

std::optional<std::uint64_t> number(const std::string& text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && rest == end && !text.empty() ? std::optional(value)
                                                                : std::nullopt;
}

}  // namespace

std::string_view last_lines(std::string_view text, std::size_t lines) {
    std::size_t at = text.size();
    while (lines-- > 0 && at > 0) {
        const auto before = at >= 2 ? text.rfind('\n', at - 2) : std::string_view::npos;
        at = before == std::string_view::npos ? 0 : before + 1;
    }
    return text.substr(at);
}

bool OutputPrinter::is_of_job(const mqtt::Message& message) const {
    return !message.payload.empty() && (job_.empty() || property(message, "job") == job_);
}

void OutputPrinter::print(const mqtt::Message& message, std::optional<std::size_t> tail) {
    const auto job = property(message, "job");
    const auto stream = property(message, "stream");
    const auto offset = number(property(message, "offset"));
    // A job's log goes on over a restart of its agent, the command's own begins anew: its boot
    // tells them apart.
    const auto piece =
        streams_[job.empty() ? property(message, "boot") : job].take(offset, message.payload);
    if (piece.missed > 0)
        screen_.say(std::to_string(piece.missed) + " bytes of output did not come");
    if (piece.text.empty()) return;
    const auto text = tail ? last_lines(piece.text, *tail) : std::string_view(piece.text);
    if (!json_) return screen_.print(text);
    const nlohmann::ordered_json object{
        {"job", job}, {"stream", stream}, {"offset", offset.value_or(0)}, {"output", text}};
    screen_.line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

bool OutputPrinter::complete(std::uint64_t bytes) const {
    const auto found = streams_.find(job_);
    return found == streams_.end() ? bytes == 0 : found->second.complete(bytes);
}

}  // namespace sutfleet::ctl
