// The kept secrets of the stack, in its own folder: set, listed by name, removed. No broker, no engine; no value is ever
// shown, taken from the command line, or repeated in a message.

#include <fcntl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "commands.hpp"
#include "core/secret_rules.hpp"
#include "json_text.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace sutfleet::ctl {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr uid_t k_supervisor = 10001;  ///< who reads them

std::string from_environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
}

/// $SUTFLEET_SECRETS_DIR, else `secrets` in $SUTFLEET_HOME, else in the .sutfleet of this folder or one above it.
std::string store_folder() {
    if (auto named = from_environment("SUTFLEET_SECRETS_DIR"); !named.empty()) return named;
    if (auto home = from_environment("SUTFLEET_HOME"); !home.empty()) return home + "/secrets";
    std::error_code error;
    for (fs::path at = fs::current_path(error); !at.empty(); at = at.parent_path()) {
        if (fs::exists(at / ".sutfleet", error)) return (at / ".sutfleet" / "secrets").string();
        if (at == at.parent_path()) break;
    }
    return ".sutfleet/secrets";
}

auto refused(int exit, std::string message) { return tl::make_unexpected(Failure{exit, std::move(message)}); }

auto cannot(const std::string& what, const std::string& path, int error) {
    const bool rights = error == EACCES || error == EPERM;
    return refused(rights ? k_refused : k_failed,
                   "cannot " + what + " " + path + ": " + std::strerror(error) +
                       (rights ? "; expected root, or the supervisor's own user: docker exec -i -u 10001 <supervisor> sutctl secret …" : ""));
}

/// Where one secret lies: `<sut>/<KEY>`, or `<KEY>` for one that all SUTs share.
struct Place {
    std::string folder, key;
    [[nodiscard]] std::string path() const { return folder + "/" + key; }
};

Outcome<Place> place_of(const Options& options) {
    const auto expected = options.shared ? std::string("a key") : std::string("a SUT and a key");
    if (options.words.size() != (options.shared ? 1U : 2U))
        return refused(k_usage, "secret " + options.action + ": expected " + expected + "; a value comes from stdin or -f FILE, never as an argument");
    const auto& key = options.words.back();
    if (!is_secret_key(key))
        return refused(k_usage, "secret " + options.action + ": expected " + std::string(k_secret_key_rule) + " as the last word");
    if (options.shared) return Place{store_folder(), key};
    const auto sut = SutName::parse(options.words.front());
    if (!sut) return refused(k_usage, sut.error().message);
    return Place{store_folder() + "/" + sut->str(), key};
}

/// A line from a terminal, without showing it.
std::string ask(const std::string& key) {
    termios before{};
    const bool hidden = ::tcgetattr(STDIN_FILENO, &before) == 0;
    auto quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    std::cerr << "value of " << key << ": " << std::flush;
    if (hidden) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    std::string line;
    std::getline(std::cin, line);
    if (hidden) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    std::cerr << "\n";
    return line;
}

/// All of stdin, without the newline that `echo` leaves at its end.
Outcome<std::string> from_stdin() {
    std::string out;
    std::array<char, 4096> part{};
    for (ssize_t got = 0; (got = ::read(STDIN_FILENO, part.data(), part.size())) != 0;) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cannot("read", "stdin", errno);
        out.append(part.data(), static_cast<std::size_t>(got));
        if (out.size() > k_secret_limit + 2) break;
    }
    if (out.ends_with('\n')) out.pop_back();
    if (out.ends_with('\r')) out.pop_back();
    return out;
}

Outcome<std::string> value_for(const Options& options, const std::string& key) {
    Outcome<std::string> value;
    if (!options.file.empty() && options.file != "-") {
        auto text = sys::read_file(options.file, k_secret_limit);
        if (!text) return refused(k_failed, text.error().message);
        value = *std::move(text);
    } else {
        value = ::isatty(STDIN_FILENO) == 1 ? Outcome<std::string>(ask(key)) : from_stdin();
    }
    if (!value) return value;
    if (value->size() > k_secret_limit) return refused(k_usage, key + ": expected at most 64 KiB");
    if (is_placeholder(*value)) return refused(k_refused, key + " is empty or a placeholder: expected its real value");
    return value;
}

Outcome<> make_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return cannot("make", path, errno);
    if (::geteuid() == 0 && ::lchown(path.c_str(), k_supervisor, k_supervisor) != 0) return cannot("give to the supervisor", path, errno);
    return {};
}

/// Written whole in the store's own folder, which the supervisor watches, then moved to its place.
Outcome<> put(const std::string& store, const Place& place, const std::string& value) {
    for (const auto& folder : {store, place.folder})
        if (auto made = make_folder(folder); !made) return made;
    const auto hidden = store + "/.new." + std::to_string(::getpid());
    ::unlink(hidden.c_str());
    const sys::UniqueFd file(::open(hidden.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return cannot("write", hidden, errno);
    const bool written = sys::write_all(file.get(), value) && (::geteuid() != 0 || ::fchown(file.get(), k_supervisor, k_supervisor) == 0) &&
                         ::fsync(file.get()) == 0 && ::rename(hidden.c_str(), place.path().c_str()) == 0;
    const int error = errno;
    if (written) return {};
    ::unlink(hidden.c_str());
    return cannot("write", place.path(), error);
}

Outcome<int> set(const Options& options) {
    const auto place = place_of(options);
    if (!place) return tl::make_unexpected(place.error());
    const auto value = value_for(options, place->key);
    if (!value) return tl::make_unexpected(value.error());
    if (auto done = put(store_folder(), *place, *value); !done) return tl::make_unexpected(done.error());
    return k_ok;
}

Outcome<int> remove(const Options& options) {
    const auto place = place_of(options);
    if (!place) return tl::make_unexpected(place.error());
    const auto hidden = store_folder() + "/.old." + std::to_string(::getpid());  // through the folder that is watched
    if (::rename(place->path().c_str(), hidden.c_str()) != 0 || ::unlink(hidden.c_str()) != 0) {
        if (errno == ENOENT) return refused(k_failed, "no " + place->path());
        return cannot("remove", place->path(), errno);
    }
    if (!options.shared) ::rmdir(place->folder.c_str());  // when it was the last one
    return k_ok;
}

void list_folder(const Options& options, const std::string& folder, const std::string& sut, std::vector<std::vector<Cell>>& rows,
                 const Screen& screen) {
    for (const auto& name : sys::list_folder(folder).value_or(std::vector<std::string>{})) {
        if (!is_secret_key(name)) continue;
        if (options.json)
            screen.line(dump_json({{"sut", sut.empty() ? ordered_json() : ordered_json(sut)}, {"key", name}}));
        else
            rows.push_back({{sut.empty() ? "(shared)" : sut}, {name}});
    }
}

/// Names only.
Outcome<int> list(const Options& options, const Screen& screen) {
    if (options.words.size() > 1) return refused(k_usage, "secret ls: expected at most a SUT");
    if (!options.words.empty())
        if (const auto sut = SutName::parse(options.words.front()); !sut) return refused(k_usage, sut.error().message);
    const auto store = store_folder();
    std::error_code error;
    const auto names = sys::list_folder(store);
    if (!names && (fs::exists(store, error) || error)) return cannot("read", store, EACCES);
    std::vector<std::vector<Cell>> rows{{{"SUT"}, {"KEY"}}};
    list_folder(options, store, {}, rows, screen);
    for (const auto& name : names.value_or(std::vector<std::string>{}))
        if (SutName::parse(name) && (options.words.empty() || options.words.front() == name)) list_folder(options, store + "/" + name, name, rows, screen);
    if (!options.json) screen.print(render_table(screen, rows));
    return k_ok;
}

}  // namespace

Outcome<int> secret(const Options& options, const Screen& screen) {
    sys::forbid_dumps();
    if (options.action == "ls") return list(options, screen);
    return options.action == "set" ? set(options) : remove(options);
}

}  // namespace sutfleet::ctl
