#include "context_check.hpp"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "commands.hpp"
#include "conf/context_yaml.hpp"
#include "sys/beneath.hpp"
#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;

std::string from_environment(const char* name, const char* otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr || *value == '\0' ? otherwise : value;
}

/// What the supervisor would open, as it opens it.
void check_there(const std::string& folder, const std::string& path, mode_t kind, const char* expected, CheckedFile& out) {
    const auto opened = sys::open_beneath(folder, path);
    struct stat status {};
    if (!opened)
        out.errors.push_back({0, 0, opened.error().message});
    else if (::fstat(opened->get(), &status) != 0 || (status.st_mode & S_IFMT) != kind)
        out.errors.push_back({0, 0, folder + "/" + path + ": expected " + expected});
}

void check_ways(const std::string& folder, const std::string& name, const ImageContext& context, CheckedFile& out) {
    CheckedFile ways;
    if (context.archive) check_there(folder + "/" + std::string(k_archives), context.archive->file, S_IFREG, "a file", ways);
    if (context.build) {
        check_there(folder, name, S_IFDIR, "a folder", ways);
        if (ways.errors.empty()) check_there(folder + "/" + name, context.build->dockerfile, S_IFREG, "a file", ways);
    }
    if (!context.archive && !context.build && !context.pull)
        out.warnings.push_back({0, 0, "no way to the image: expected 'archive', 'build' or 'pull: true', or that " + context.image + " is on the engine already"});
    for (auto& way : ways.errors) out.errors.push_back(std::move(way));
    if (const auto why = engine_trouble(context, from_environment("DOCKER_HOST", "unix:///var/run/docker.sock")); !why.empty())
        out.warnings.push_back({0, 0, why});
}

}  // namespace

std::string context_folder(const std::string& confs) {
    std::error_code error;
    auto folder = fs::absolute(confs, error).lexically_normal();
    if (!folder.has_filename()) folder = folder.parent_path();
    const auto beside = (folder.parent_path() / "contexts").string();
    return fs::equivalent(folder, conf_folder(), error) ? from_environment("SUTFLEET_CONTEXT_DIR", beside.c_str()) : beside;
}

bool is_context_file(const std::string& path) {
    std::error_code error;
    const auto file = fs::absolute(path, error).lexically_normal();
    const auto folder = file.parent_path();
    return file.extension() == ".yaml" && (folder.filename() == "contexts" || folder == fs::path(from_environment("SUTFLEET_CONTEXT_DIR", "")));
}

CheckedFile check_context(const std::string& path) {
    CheckedFile out{path, false, {}, {}};
    const fs::path file(path);
    const auto name = file.stem().string();
    if (!is_context_name(name)) {
        out.errors.push_back({0, 0, "the file's name: expected 2 to 63 of a-z, 0-9 and '-', not 'images', and .yaml"});
        return out;
    }
    const auto text = sys::read_file(path, k_conf_limit + 1);
    if (!text) {
        const auto& why = text.error().message;
        out.errors.push_back({0, 0, why.starts_with(path + ": ") ? why.substr(path.size() + 2) : why});
        return out;
    }
    const auto context = decode_context(*text);
    if (context)
        check_ways(file.has_parent_path() ? file.parent_path().string() : ".", name, *context, out);
    else
        for (const auto& error : context.error()) out.errors.push_back({error.line, error.column, error.message});
    return out;
}

std::vector<CheckedFile> check_contexts(const std::string& folder) {
    std::vector<CheckedFile> out;
    const auto names = sys::list_folder(folder);
    if (!names) return out;
    for (const auto& name : *names)
        if (name.ends_with(".yaml") && !name.starts_with('.')) out.push_back(check_context(folder + "/" + name));
    return out;
}

std::string context_error(const std::string& conf_path, const std::string& context) {
    const auto folder = fs::path(conf_path).parent_path().string();
    const auto path = context_folder(folder.empty() ? "." : folder) + "/" + context + ".yaml";
    const auto checked = check_context(path);
    return checked.errors.empty() ? std::string() : "'context': " + to_text(path, checked.errors.front());
}

}  // namespace sutfleet::ctl
