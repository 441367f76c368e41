#include "job_view.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "exit.hpp"

namespace sutfleet::ctl {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> k_final{"SUCCEEDED", "FAILED",   "TIMED_OUT", "CANCELED",
                                                  "LOST",      "REJECTED", "EXPIRED"};

std::string text_of(const json& object, const char* key) {
    return object.contains(key) && object[key].is_string() ? object[key].get<std::string>()
                                                           : std::string();
}
std::uint64_t count_of(const json& object, const char* key) {
    return object.contains(key) && object[key].is_number_unsigned()
               ? object[key].get<std::uint64_t>()
               : 0;
}

double seconds_of(const json& object) {
    double sum = 0;
    if (!object.contains("phases") || !object["phases"].is_object()) return sum;
    for (const auto& phase : object["phases"])
        if (phase.is_object() && phase.contains("seconds") && phase["seconds"].is_number())
            sum += phase["seconds"].get<double>();
    return sum;
}

std::string seconds_text(double seconds) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f s", seconds);
    return text.data();
}

Tone tone_of(const JobView& job) {
    if (job.state == "SUCCEEDED") return Tone::good;
    if (job.state == "RUNNING" || job.state == "QUEUED") return Tone::plain;
    return job.state == "CANCELED" ? Tone::warn : Tone::bad;
}

void describe(const ordered_json& value, const std::string& key, std::string& out) {
    if (value.is_object() && !value.empty()) {
        for (const auto& [name, inner] : value.items())
            describe(inner, key.empty() ? name : key + "." + name, out);
        return;
    }
    const auto text = value.is_string()
                          ? value.get<std::string>()
                          : value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
    out += key + ": " + (value.is_null() ? "-" : printable(text)) + "\n";
}

}  // namespace

bool JobView::ended() const {
    return std::ranges::find(k_final, std::string_view(state)) != k_final.end();
}

int JobView::exit_code() const {
    if (state == "SUCCEEDED") return k_ok;
    if (state == "TIMED_OUT") return k_timed_out;
    if (state == "REJECTED" || state == "EXPIRED") return k_refused;
    if (state == "FAILED" && exit && *exit > 0 && *exit < 256) return *exit;
    return k_failed;
}

std::string JobView::summary() const {
    std::string out = printable(state);
    if (exit) out += ", exit " + std::to_string(*exit);
    if (seconds > 0) out += ", " + seconds_text(seconds);
    if (!reason.empty()) out += ": " + printable(reason);
    return out;
}

std::optional<JobView> parse_job(std::string_view text) {
    const auto object = json::parse(text, nullptr, false);
    if (!object.is_object() || text_of(object, "id").empty() || text_of(object, "state").empty())
        return std::nullopt;
    JobView out{text_of(object, "id"),
                text_of(object, "state"),
                text_of(object, "reason"),
                text_of(object, "command"),
                text_of(object, "submitted"),
                text_of(object, "started"),
                text_of(object, "finished"),
                std::nullopt,
                count_of(object, "position"),
                count_of(object, "log_bytes"),
                seconds_of(object)};
    if (object.contains("exit") && object["exit"].is_number_integer())
        out.exit = object["exit"].get<int>();
    return out;
}

std::vector<std::vector<Cell>> job_table(const std::vector<JobView>& jobs) {
    std::vector<std::vector<Cell>> rows;
    std::vector<Cell> head;
    for (const auto* title : {"ID", "STATE", "EXIT", "SUBMITTED", "TOOK", "COMMAND"})
        head.push_back({title, Tone::dim});
    rows.push_back(std::move(head));
    for (const auto& job : jobs)
        rows.push_back({{printable(job.id), Tone::plain},
                        {printable(job.state), tone_of(job)},
                        {job.exit ? std::to_string(*job.exit) : "-", Tone::plain},
                        {printable(job.submitted.substr(0, 19)), Tone::plain},
                        {job.seconds > 0 ? seconds_text(job.seconds) : "-", Tone::plain},
                        {printable(job.command), Tone::dim}});
    return rows;
}

std::string describe_job(std::string_view text) {
    const auto object = ordered_json::parse(text, nullptr, false);
    std::string out;
    if (object.is_object()) describe(object, "", out);
    return out;
}

OutputStream::Piece OutputStream::take_exact(std::uint64_t offset, std::string_view bytes) {
    Piece piece;
    const auto end = end_.value_or(offset);
    if (offset < end) {
        bytes.remove_prefix(static_cast<std::size_t>(std::min<std::uint64_t>(end - offset, bytes.size())));
        offset = end;
    }
    piece.missed = offset - end;
    piece.text = bytes;
    end_ = offset + bytes.size();
    return piece;
}

OutputStream::Piece OutputStream::take(std::optional<std::uint64_t> offset,
                                       std::string_view payload) {
    Piece piece;
    const auto whole = payload.size();
    if (offset && end_) {
        if (*offset < *end_) {  // some of it was here before
            const auto known = std::min<std::uint64_t>(*end_ - *offset, payload.size());
            payload.remove_prefix(known);
            if (payload.starts_with('\n'))
                payload.remove_prefix(1);  // printed with the line that it ends
            if (payload.empty()) return piece;
        } else if (*offset > *end_ + 1) {
            piece.missed = *offset - *end_ - 1;
        } else if (*offset == *end_ + 1 && lone_newline_) {
            piece.text = "\n";  // two empty lines look like one until the next offset is known
        }
    }
    if (offset) end_ = *offset + whole;
    lone_newline_ = payload == "\n";
    piece.text += payload;
    if (!lone_newline_) piece.text += '\n';
    return piece;
}

}  // namespace sutfleet::ctl
