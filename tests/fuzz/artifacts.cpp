// A job may leave any tree and ask for any patterns: nothing outside its folder is listed or written to, and all of it goes.
// Input: a pattern in its first line; then a line for each thing in the folder: `f name`, `d name`, `p name` (a pipe),
// `l name target`, `h name` (a second name of a file outside).

#include "artifacts.hpp"

#include <sys/stat.h>

#include <fstream>

#include "folder_walk.hpp"
#include "fuzz.hpp"
#include "match/globs.hpp"
#include "scratch.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t k_outside_size = 7777;

std::string_view take(std::string_view& text, char end) {
    const auto at = text.find(end);
    const auto out = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view{} : text.substr(at + 1);
    return out;
}

/// A name that stays in the folder: it is the test that puts things there, and what it puts may lead anywhere.
bool stays(const std::string& name) {
    return !name.empty() && name.size() < 1000 && name.front() != '/' && name.find('\0') == std::string::npos && ("/" + name + "/").find("/../") == std::string::npos;
}

void put(const fs::path& job, std::string_view line) {
    const auto kind = take(line, ' ');
    const std::string name(take(line, ' ')), target(line);
    std::error_code error;
    // Links on the way would have the test itself write elsewhere.
    if (!stays(name) || fs::weakly_canonical(job / name, error).string().rfind(job.string(), 0) != 0 || error) return;
    const auto path = job / name;
    fs::create_directories(path.parent_path(), error);
    if (kind == "f") std::ofstream(path) << "x";
    if (kind == "d") fs::create_directories(path, error);
    if (kind == "p") ::mkfifo(path.c_str(), 0600);
    if (kind == "l" && target.find('\0') == std::string::npos) fs::remove_all(path, error), fs::create_symlink(target, path, error);
    if (kind == "0") fs::permissions(path, fs::perms::none, error);
}

}  // namespace

void fuzz(std::string_view text) {
    static const Scratch scratch;
    static const fs::path outside = fs::path(scratch.path()) / "outside", job = fs::path(scratch.path()) / "job";
    if (!fs::exists(outside)) {
        fs::create_directories(outside / "artifacts");
        for (const auto* name : {"secret", "artifacts/secret"}) std::ofstream(outside / name) << std::string(k_outside_size, 's');
        std::error_code error;
        fs::create_directory_symlink(outside, fs::path(scratch.path()) / "o", error);
    }
    fs::create_directories(job / "artifacts");
    const std::string pattern(take(text, '\n'));
    for (int lines = 0; !text.empty() && lines < 50; ++lines) put(job, take(text, '\n'));
    collect_artifacts(job, {pattern, "*", "*/*", "[!x]*/?/*"});
    for (const auto& one : list_artifacts(job, [] { return false; }).list) {
        must(one.bytes != k_outside_size && stays(one.name));
        must(fs::exists(fs::symlink_status(job / "artifacts" / one.name)));
    }
    std::size_t beside = 0;
    for (auto at = fs::recursive_directory_iterator(outside); at != fs::recursive_directory_iterator(); ++at) ++beside;
    must(beside == 3);
    must(remove_folder(job, [] { return true; }).has_value());
    must(!fs::exists(fs::symlink_status(job)));
    // A pattern that is a plain name matches just that.
    if (const std::string name(pattern); stays(name) && name.find_first_of("*?[\\") == std::string::npos && name.find("//") == std::string::npos &&
                                         ("/" + name + "/").find("/./") == std::string::npos && !name.ends_with('/'))
        must(Glob(name).matches(name));
}
