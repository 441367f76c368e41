#include "output_printer.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace sutfleet::ctl {
namespace {

std::optional<std::uint64_t> number(const std::string& text) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && rest == end && !text.empty() ? std::optional(value)
                                                                : std::nullopt;
}

/// A job's log goes on over a restart of its agent, the command's own begins anew: its boot tells them apart.
const std::string& key_of(const std::string& job, const std::string& boot) {
    return job.empty() ? boot : job;
}

/// What a message stands for in its stream: the newline of its last line is not in the payload.
std::string whole_text(const mqtt::Message& message) {
    const bool stripped = number(property(message, "bytes")) == message.payload.size() + 1;
    return message.payload + (stripped ? "\n" : "");
}

}  // namespace

std::string property(const mqtt::Message& message, std::string_view name) {
    for (const auto& [key, value] : message.user_properties)
        if (key == name) return value;
    return {};
}

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
    auto& known = streams_[key_of(job, property(message, "boot"))];
    const bool exact = offset && number(property(message, "bytes"));
    show(job, stream, offset.value_or(0), exact ? known.take_exact(*offset, whole_text(message)) : known.take(offset, message.payload), tail);
}

void OutputPrinter::print(const std::string& job, const std::string& boot, std::uint64_t offset, std::string_view bytes) {
    show(job, job.empty() ? "command" : "job", offset, streams_[key_of(job, boot)].take_exact(offset, bytes), {});
}

std::optional<std::uint64_t> OutputPrinter::end(const std::string& job, const std::string& boot) const {
    const auto found = streams_.find(key_of(job, boot));
    return found == streams_.end() ? std::nullopt : found->second.end();
}

bool OutputPrinter::misses_some_before(const mqtt::Message& message) const {
    const auto known = end(property(message, "job"), property(message, "boot"));
    const auto offset = number(property(message, "offset"));
    return known && offset && *offset > *known;
}

std::size_t OutputPrinter::lines_of(const std::vector<mqtt::Message>& messages, std::size_t tail) {
    std::size_t out = 0;
    for (const auto& message : messages) out += static_cast<std::size_t>(std::ranges::count(last_lines(whole_text(message), tail), '\n'));
    return out;
}

void OutputPrinter::show(const std::string& job, const std::string& stream, std::uint64_t offset, const OutputStream::Piece& piece,
                         std::optional<std::size_t> tail) {
    if (piece.missed > 0)
        screen_.say(std::to_string(piece.missed) + " bytes of output did not come");
    if (piece.text.empty()) return;
    const auto text = tail ? last_lines(piece.text, *tail) : std::string_view(piece.text);
    if (!json_) {
        const auto name = stream + "/" + job;
        if (!open_line_.empty() && open_line_ != name) screen_.print("\n");
        open_line_ = text.ends_with('\n') ? std::string() : name;
        return screen_.print(text);
    }
    const nlohmann::ordered_json object{{"job", job}, {"stream", stream}, {"offset", offset}, {"output", text}};
    screen_.line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

bool OutputPrinter::complete(std::uint64_t bytes) const {
    const auto found = streams_.find(job_);
    return found == streams_.end() ? bytes == 0 : found->second.complete(bytes);
}

}  // namespace sutfleet::ctl
