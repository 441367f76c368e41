#include "tail.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/base64.hpp"
#include "core/json_guard.hpp"
#include "sys/fd.hpp"

namespace sutfleet::agent {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view k_agent_log = "agent";
constexpr const char* k_usage = ": expected [agent or a job's id] [offset, or -n for the last n bytes] [bytes]";

Result<void> set_log(TailRequest& out, std::string_view name) {
    if (name == k_agent_log) return {};
    auto id = JobId::parse(name);
    if (!id) return fail(ErrorKind::invalid_input, "'" + std::string(name.substr(0, 80)) + "': expected agent or the id of a job");
    out.job = *std::move(id);
    return {};
}

void set_last(TailRequest& out, std::uint64_t bytes) {
    out.offset.reset();
    out.bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, k_tail_limit));
}

std::optional<std::uint64_t> number(std::string_view word) {
    std::uint64_t value = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || rest != word.data() + word.size()) return std::nullopt;
    return value;
}

Result<TailRequest> decode_words(std::string_view text) {
    constexpr std::string_view k_space = " \t\r\n";
    std::vector<std::string_view> words;
    for (auto at = text.find_first_not_of(k_space); at != std::string_view::npos; at = text.find_first_not_of(k_space, at)) {
        const auto end = std::min(text.find_first_of(k_space, at), text.size());
        words.push_back(text.substr(at, end - at));
        at = end;
    }
    const auto wrong = [&](std::string_view word) { return fail(ErrorKind::invalid_input, "'" + std::string(word.substr(0, 80)) + "'" + k_usage); };
    TailRequest out;
    if (words.size() > 3) return wrong(words[3]);
    if (!words.empty())
        if (auto named = set_log(out, words[0]); !named) return fail(named.error());
    if (words.size() > 1) {
        const bool last = words[1].starts_with('-');
        const auto value = number(words[1].substr(last ? 1 : 0));
        if (!value || (last && words.size() > 2)) return wrong(words[1]);
        last ? set_last(out, *value) : static_cast<void>(out.offset = *value);
    }
    if (words.size() > 2) {
        const auto value = number(words[2]);
        if (!value) return wrong(words[2]);
        out.bytes = static_cast<std::size_t>(std::min<std::uint64_t>(*value, k_tail_limit));
    }
    return out;
}

Result<TailRequest> decode_object(const json& object) {
    TailRequest out;
    for (const auto& [key, value] : object.items()) {
        if (key == "transaction" || key == "argument") continue;
        if (key == "log" || key == "job") {
            const auto name = value.is_string() ? value.get<std::string>() : std::string();
            auto id = JobId::parse(name);
            if (key == "job" && id) out.job = *std::move(id);
            else if (auto named = set_log(out, key == "job" ? "" : name); !named) return fail(named.error());
        } else if (key == "encoding") {
            if (value != "text" && value != "base64") return fail(ErrorKind::invalid_input, "'encoding': expected text or base64");
            out.exact = value == "base64";
        } else if (key != "offset" && key != "last" && key != "bytes") {
            return fail(ErrorKind::invalid_input, "unknown key '" + key.substr(0, 40) + "': expected log, job, offset, last, bytes or encoding");
        } else if (!value.is_number_unsigned()) {
            return fail(ErrorKind::invalid_input, "'" + key + "': expected a whole number from 0 on");
        }
    }
    if (object.contains("last") && (object.contains("offset") || object.contains("bytes")))
        return fail(ErrorKind::invalid_input, "'last' stands for itself: expected no 'offset' and no 'bytes' beside it");
    if (object.contains("offset")) out.offset = object["offset"].get<std::uint64_t>();
    if (object.contains("bytes")) out.bytes = static_cast<std::size_t>(std::min<std::uint64_t>(object["bytes"].get<std::uint64_t>(), k_tail_limit));
    if (object.contains("last")) set_last(out, object["last"].get<std::uint64_t>());
    return out;
}

/// How many bytes at the end of `bytes` begin a character of UTF-8 that goes on after them; at most 3.
std::size_t begun_character(std::string_view bytes) {
    for (std::size_t back = 1; back <= std::min<std::size_t>(3, bytes.size()); ++back) {
        const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
        if ((byte & 0xC0U) == 0x80U) continue;
        const std::size_t size = byte >= 0xF0U ? 4 : byte >= 0xE0U ? 3 : byte >= 0xC0U ? 2 : 1;
        return size > back ? back : 0;
    }
    return 0;
}

}  // namespace

Result<TailRequest> decode_tail(std::string_view payload) {
    const auto first = payload.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || payload[first] != '{') return decode_words(payload);
    if (too_deep(payload)) return fail(ErrorKind::invalid_input, "the JSON is nested too deep");
    const auto object = json::parse(payload, nullptr, false);
    if (!object.is_object()) return fail(ErrorKind::invalid_input, "begins with '{' but is not valid JSON");
    if (!object.contains("argument")) return decode_object(object);
    for (const auto& [key, value] : object.items())
        if (key != "argument" && key != "transaction") return fail(ErrorKind::invalid_input, "'" + key.substr(0, 40) + "': expected within 'argument', or no 'argument'");
    const auto& argument = object["argument"];
    if (argument.is_object()) return decode_object(argument);
    if (!argument.is_string()) return fail(ErrorKind::invalid_input, "'argument': expected a text or an object");
    const auto text = argument.get<std::string>();
    if (!text.starts_with('{')) return decode_words(text);
    const auto inner = json::parse(text, nullptr, false);
    if (too_deep(text) || !inner.is_object()) return fail(ErrorKind::invalid_input, "'argument' begins with '{' but is not valid JSON");
    return decode_object(inner);
}

TailPiece tail_of(const LogFile& log, const TailRequest& request) {
    const auto end = log.end();
    const auto from = request.offset.value_or(end - std::min<std::uint64_t>(end, request.bytes));
    auto piece = log.read(from, request.bytes);
    return {std::move(piece.bytes), piece.offset, end};
}

Result<TailPiece> tail_of_file(const std::string& jobs, const JobId& job, const TailRequest& request) {
    const auto missing = [&](const Error& why) { return fail(why.kind, "the log of job " + job.str() + " cannot be read: " + why.message); };
    const sys::UniqueFd folder(::open((jobs + "/" + job.str()).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return missing(errno_error("its folder", errno));
    const sys::UniqueFd fd(::openat(folder.get(), "output.log", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return missing(errno_error("output.log", errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return missing(errno_error("output.log", errno));
    if (!S_ISREG(info.st_mode)) return missing({ErrorKind::permanent, "output.log: expected a regular file"});
    TailPiece piece;
    piece.end = static_cast<std::uint64_t>(info.st_size);
    const auto from = request.offset.value_or(piece.end - std::min<std::uint64_t>(piece.end, request.bytes));
    piece.offset = std::min(from, piece.end);
    piece.bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(request.bytes, piece.end - piece.offset)));
    const auto got = ::pread(fd.get(), piece.bytes.data(), piece.bytes.size(), static_cast<off_t>(piece.offset));
    if (got < 0) return missing(errno_error("output.log", errno));
    piece.bytes.resize(static_cast<std::size_t>(got));
    return piece;
}

std::string encode_tail(TailPiece piece, const TailRequest& request, std::string_view boot) {
    auto& bytes = piece.bytes;
    if (!request.exact) {
        // No character is cut in two: the rest of it is in the next piece.
        if (!request.offset && piece.offset > 0) {
            const auto from = std::ranges::find_if(bytes, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
            if (const auto cut = from - bytes.begin(); cut > 0 && cut <= 3) {
                piece.offset += static_cast<std::uint64_t>(cut);
                bytes.erase(0, static_cast<std::size_t>(cut));
            }
        }
        const auto begun = begun_character(bytes);
        if (piece.offset + bytes.size() < piece.end && begun < bytes.size()) bytes.resize(bytes.size() - begun);
    }
    ordered_json out{{"log", request.job ? request.job->str() : std::string(k_agent_log)},
                     {"boot", boot},
                     {"offset", piece.offset},
                     {"bytes", bytes.size()},
                     {"end", piece.end}};
    out[request.exact ? "base64" : "text"] = request.exact ? encode_base64(bytes) : bytes;
    return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace sutfleet::agent
