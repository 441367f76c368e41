#include "connection.hpp"

#include <unistd.h>

#include <filesystem>

#include "sys/file.hpp"

namespace sutfleet::ctl {
namespace {

constexpr std::size_t k_limit = 64 * 1024;
constexpr auto k_default_url = "mqtt://127.0.0.1:1883";

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string unquote(std::string_view text) {
    const bool quoted = text.size() >= 2 && text.front() == text.back() &&
                        (text.front() == '"' || text.front() == '\'');
    return std::string(quoted ? text.substr(1, text.size() - 2) : text);
}

/// What a settings file names is beside it, wherever it was copied to.
std::string beside(const std::string& path, const std::string& file) {
    return file.empty() ? file : (std::filesystem::path(path).parent_path() / file).string();
}

Outcome<Connection> from_file(const std::string& path) {
    const auto text = sys::read_file(path, k_limit);
    if (!text)
        return tl::make_unexpected(
            Failure{k_unreachable, "cannot read the broker's settings: " + text.error().message +
                                       (::geteuid() == 0 ? "" : " (try again with sudo)")});
    auto values = parse_env_file(*text);
    if (values["SUTFLEET_PASSWORD"].empty())
        return tl::make_unexpected(Failure{k_unreachable, path + ": SUTFLEET_PASSWORD is missing"});
    const auto& url = values["SUTFLEET_BROKER"];
    return Connection{url.empty() ? k_default_url : url, values["SUTFLEET_USER"],
                      values["SUTFLEET_PASSWORD"],       beside(path, values["SUTFLEET_CA"]),
                      values["SUTFLEET_TOPIC_PREFIX"],   path, !values["SUTFLEET_OPEN"].empty()};
}

std::string find_upward(const std::string& folder) {
    namespace fs = std::filesystem;
    std::error_code error;
    for (fs::path at = folder; !at.empty(); at = at.parent_path()) {
        const auto file = at / ".sutfleet" / "client.env";
        // A folder that only root may enter counts as found: reading it then says what is wrong.
        if (fs::exists(file, error) || error == std::errc::permission_denied) return file.string();
        if (at == at.parent_path()) break;
    }
    return {};
}

}  // namespace

std::map<std::string, std::string> parse_env_file(std::string_view text) {
    std::map<std::string, std::string> out;
    while (!text.empty()) {
        const auto end = text.find('\n');
        auto line = trim(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
        if (line.starts_with("export ")) line = trim(line.substr(7));
        const auto equals = line.find('=');
        if (line.empty() || line.front() == '#' || equals == std::string_view::npos) continue;
        out[std::string(trim(line.substr(0, equals)))] = unquote(trim(line.substr(equals + 1)));
    }
    return out;
}

Outcome<Connection> find_connection(const Environment& environment, const std::string& folder) {
    Outcome<Connection> found = tl::make_unexpected(Failure{});
    if (auto password = environment("SUTFLEET_PASSWORD"); !password.empty()) {
        auto url = environment("SUTFLEET_BROKER");
        found = Connection{url.empty() ? k_default_url : std::move(url),
                           environment("SUTFLEET_USER"),
                           std::move(password),
                           environment("SUTFLEET_CA"),
                           "",
                           "the environment",
                           !environment("SUTFLEET_OPEN").empty()};
    } else if (auto file = environment("SUTFLEET_ENV_FILE"); !file.empty()) {
        found = from_file(file);
    } else if (file = find_upward(folder); !file.empty()) {
        found = from_file(file);
    } else {
        return tl::make_unexpected(Failure{k_unreachable,
                                           "no broker is known: no .sutfleet/client.env in this "
                                           "folder or above it. Start the stack by "
                                           "./tools/up, use ./tools/ctl, or set SUTFLEET_BROKER, "
                                           "SUTFLEET_USER and SUTFLEET_PASSWORD"});
    }
    if (!found) return found;
    if (auto prefix = environment("SUTFLEET_TOPIC_PREFIX"); !prefix.empty())
        found->prefix = std::move(prefix);
    if (found->user.empty()) found->user = "operator";
    return found;
}

}  // namespace sutfleet::ctl
