// A new conf from a template: checked before it is written, and never over one that is there.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "commands.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "template.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;

std::string listed() {
    std::string out;
    for (const auto& each : shipped_templates()) out += "\n  " + each.name + ": " + each.what();
    return out;
}

/// A file by its path, one of the lab's own in `templates/` beside its confs, or a shipped one.
Outcome<Template> find_template(const std::string& name, const std::string& folder) {
    const auto own = folder + "/templates/" + name + ".conf";
    std::error_code error;
    const auto path = name.find('/') != std::string::npos ? name : fs::exists(own, error) ? own : std::string();
    if (!path.empty()) {
        auto text = sys::read_file(path, k_conf_limit);
        if (!text) return tl::make_unexpected(Failure{k_usage, text.error().message});
        return Template{name, *std::move(text)};
    }
    for (const auto& each : shipped_templates())
        if (each.name == name) return each;
    return tl::make_unexpected(Failure{k_usage, "no template '" + name + "'; expected the path of one (with a '/'), or one of:" + listed()});
}

Outcome<std::string> checked(const Template& from, const SutName& sut, const Values& values) {
    auto text = fill_in(from, sut.str(), values);
    if (!text) return text;
    if (const auto conf = decode_sut_conf(sut, *text); !conf) {
        std::string why = "nothing is written: with these values '" + from.name + "' is no right conf:";
        for (const auto& error : conf.error()) why += "\n  " + to_string(sut.str() + ".conf", error);
        return tl::make_unexpected(Failure{k_usage, why});
    }
    return text;
}

Failure cannot_write(const std::string& path, int error) {
    if (error == EEXIST) return {k_refused, path + " is there already: edit it, or take another name"};
    return {k_failed, "cannot write " + path + ": " + std::strerror(error)};
}

/// Whole or not at all, and never over another: link(2) refuses what is there.
Outcome<> write_new(const std::string& path, const std::string& text) {
    const auto hidden = fs::path(path).parent_path() / ("." + fs::path(path).filename().string() + "." + std::to_string(::getpid()));
    const sys::UniqueFd file(::open(hidden.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file) return tl::make_unexpected(cannot_write(path, errno));
    const auto written = sys::write_all(file.get(), text);
    const int linked = written && ::fsync(file.get()) == 0 ? ::link(hidden.c_str(), path.c_str()) : -1;
    const int error = errno;
    ::unlink(hidden.c_str());
    if (!written) return tl::make_unexpected(Failure{k_failed, path + ": " + written.error().message});
    if (linked != 0) return tl::make_unexpected(cannot_write(path, error));
    return {};
}

}  // namespace

Outcome<int> add(const Options& options, const Screen& screen) {
    const auto sut = wanted_sut(options);
    if (!sut) return tl::make_unexpected(sut.error());
    const auto folder = conf_folder();
    const auto path = folder + "/" + sut->str() + ".conf";
    std::error_code error;
    if (!fs::is_directory(folder, error))
        return tl::make_unexpected(Failure{k_usage, "no folder " + folder + ": go to the project's folder, or set SUTFLEET_SUT_DIR"});
    if (!options.dry_run && fs::exists(path, error)) return tl::make_unexpected(cannot_write(path, EEXIST));
    const auto from = find_template(options.from, folder);
    if (!from) return tl::make_unexpected(from.error());
    const auto values = parse_values(options.words);
    if (!values) return tl::make_unexpected(values.error());
    const auto text = checked(*from, *sut, *values);
    if (!text) return tl::make_unexpected(text.error());
    if (options.dry_run) {
        screen.print(*text);
        return k_ok;
    }
    if (auto written = write_new(path, *text); !written) return tl::make_unexpected(written.error());
    screen.line(path);
    return k_ok;
}

}  // namespace sutfleet::ctl
