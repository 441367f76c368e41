#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "commands.hpp"
#include "context_check.hpp"
#include "json_text.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

ordered_json listed(const std::vector<Finding>& findings) {
    auto out = ordered_json::array();
    for (const auto& each : findings)
        out.push_back({{"line", each.line}, {"column", each.column}, {"message", each.message}});
    return out;
}

void show_json(const Screen& screen, const CheckedFile& file) {
    screen.line(dump_json({{"file", file.path},
                           {"conf", file.is_conf},
                           {"ok", file.errors.empty()},
                           {"errors", listed(file.errors)},
                           {"warnings", listed(file.warnings)}}));
}

void show(const Screen& screen, const CheckedFile& file) {
    const auto say = [](const std::string& line) { (void)sys::write_all(2, line + "\n"); };
    for (const auto& each : file.warnings) {
        auto warning = each;
        warning.message = "warning: " + each.message;
        say(to_text(file.path, warning));
    }
    for (const auto& each : file.errors) say(to_text(file.path, each));
    if (file.is_conf && file.errors.empty())
        screen.line(file.path + ": " + screen.paint(Tone::good, "ok"));
}

std::vector<CheckedFile> check_all(const std::vector<std::string>& paths) {
    std::vector<CheckedFile> out;
    for (const auto& path : paths) {
        std::error_code error;
        if (!fs::is_directory(path, error)) {
            out.push_back(is_context_file(path) ? check_context(path) : check_conf(path));
            out.back().is_conf = true;  // it was asked for: that it is right is told
            continue;
        }
        for (auto& each : check_folder(path)) out.push_back(std::move(each));
        for (auto& each : check_contexts(context_folder(path))) out.push_back(std::move(each));
    }
    return out;
}

}  // namespace

std::string conf_folder() {
    const char* set = std::getenv("SUTFLEET_SUT_DIR");
    return set != nullptr && *set != '\0' ? set : "sut";
}

int validate(const Options& options, const Screen& screen) {
    const bool named = !options.words.empty();
    const auto files = check_all(named ? options.words : std::vector<std::string>{conf_folder()});
    const auto confs = std::ranges::count_if(files, &CheckedFile::is_conf);
    const bool all_good = std::ranges::all_of(files, [](const auto& file) { return file.errors.empty(); });
    for (const auto& file : files) {
        const bool tells = file.is_conf || !file.errors.empty() || !file.warnings.empty();
        if (tells) options.json ? show_json(screen, file) : show(screen, file);
    }
    if (confs == 0 && all_good) {
        screen.say("no conf found in " + (named ? options.words.front() : conf_folder()) + ": name the files, or their folder");
        return k_usage;
    }
    if (!options.json && files.size() > 1) {
        const auto good = std::ranges::count_if(files, [](const auto& file) { return file.is_conf && file.errors.empty(); });
        screen.say(std::to_string(good) + " of " + std::to_string(confs) + " confs are right");
    }
    return all_good ? k_ok : k_failed;
}

}  // namespace sutfleet::ctl
