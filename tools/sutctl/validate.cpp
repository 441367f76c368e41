#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct Verdict {
    std::vector<ConfError> errors;
    std::vector<std::string> warnings;
};

/// The message's own `path: `, which the caller puts in front of every message.
std::string without(const std::string& path, const std::string& message) {
    const auto lead = path + ": ";
    return message.starts_with(lead) ? message.substr(lead.size()) : message;
}

Verdict check(const std::string& path) {
    const fs::path file(path);
    if (file.extension() != ".conf") return {{{0, 0, "the file's name must be <sut>.conf"}}, {}};
    const auto name = SutName::parse(file.stem().string());
    if (!name) return {{{0, 0, "the file's name: " + name.error().message}}, {}};
    // One byte more than allowed, so that the decoder says what is wrong with it.
    const auto text = sys::read_file(path, k_conf_limit + 1);
    if (!text) return {{{0, 0, without(path, text.error().message)}}, {}};
    auto conf = decode_sut_conf(*name, *text);
    if (!conf) return {std::move(conf.error()), {}};
    Verdict out;
    for (const auto& key : conf->not_acted_on)
        out.warnings.push_back("this version does not act on " + key);
    return out;
}

void show_json(const Screen& screen, const std::string& path, const Verdict& verdict) {
    ordered_json out{{"file", path},
                     {"ok", verdict.errors.empty()},
                     {"errors", ordered_json::array()},
                     {"warnings", verdict.warnings}};
    for (const auto& error : verdict.errors)
        out["errors"].push_back(
            {{"line", error.line}, {"column", error.column}, {"message", error.message}});
    screen.line(out.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
}

void show(const Screen& screen, const std::string& path, const Verdict& verdict) {
    for (const auto& warning : verdict.warnings) screen.say(path + ": " + warning);
    for (const auto& error : verdict.errors)
        (void)sys::write_all(
            2, (error.line == 0 ? path + ": " + error.message : to_string(path, error)) + "\n");
    if (verdict.errors.empty()) screen.line(path + ": " + screen.paint(Tone::good, "ok"));
}

std::vector<std::string> default_files() {
    const char* set = std::getenv("SUTFLEET_SUT_DIR");
    std::vector<std::string> out;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(set != nullptr ? set : "sut", error))
        if (entry.path().extension() == ".conf") out.push_back(entry.path().string());
    std::ranges::sort(out);
    return out;
}

}  // namespace

int validate(const Options& options, const Screen& screen) {
    const auto files = options.words.empty() ? default_files() : options.words;
    if (files.empty()) {
        screen.say("no conf found in sut/: name the files");
        return k_usage;
    }
    bool all_good = true;
    for (const auto& path : files) {
        const auto verdict = check(path);
        all_good = all_good && verdict.errors.empty();
        options.json ? show_json(screen, path, verdict) : show(screen, path, verdict);
    }
    return all_good ? k_ok : k_failed;
}

}  // namespace sutfleet::ctl
