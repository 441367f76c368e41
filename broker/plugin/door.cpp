#include "door.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "auth/broker_password.hpp"

namespace sutfleet::broker {
namespace {

constexpr std::string_view k_own = "sutfleet/";

}  // namespace

bool may_have_id(std::string_view id, std::string_view user, bool for_programs) {
    if (!id.starts_with(k_own)) return !for_programs;
    id.remove_prefix(k_own.size());
    if (user.empty() || !id.starts_with(user)) return false;
    id.remove_prefix(user.size());
    return for_programs ? id.empty() : id.starts_with('/');
}

Door::Door(Files files, Warn warn) : files_(std::move(files)), warn_(std::move(warn)) { refresh(); }

std::vector<std::string> Door::refresh() {
    // Stamps before texts: what changes between is read once more, never missed. Rights after users: the supervisor writes
    // them first, so nobody comes in before he has his.
    auto stamps = stamps_of(files_.passwords);
    auto users = stamps != passwords_seen_ ? read_users() : std::nullopt;
    if (auto access = stamps_of(files_.access); access != access_seen_)
        if (auto rules = read_rules()) {
            access_seen_ = std::move(access);
            rules_ = *std::move(rules);
        }
    if (!users) return {};
    passwords_seen_ = std::move(stamps);
    const auto before = std::exchange(users_, *std::move(users));
    std::vector<std::string> ended;
    for (const auto& [user, line] : before)
        if (const auto now = users_.find(user); now == users_.end() || now->second != line) ended.push_back(user);
    return ended;
}

bool Door::knows(std::string_view user, std::string_view password) const {
    const auto found = users_.find(user);
    return found != users_.end() && auth::password_is(found->second, password);
}

std::vector<Door::Stamp> Door::stamps_of(const std::vector<std::string>& paths) {
    std::vector<Stamp> out;
    for (const auto& path : paths) {
        struct stat info {};
        const bool there = ::stat(path.c_str(), &info) == 0;
        out.push_back(there ? Stamp{info.st_ino, info.st_size, info.st_ctim.tv_sec * 1'000'000'000 + info.st_ctim.tv_nsec} : Stamp{});
    }
    return out;
}

std::optional<std::string> Door::text_of(const std::string& path) const {
    std::ifstream file(path, std::ios::binary);
    if (!file && errno == ENOENT) return "";
    std::ostringstream text;
    if (file && file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
    if (!file || file.bad()) {
        warn_(path + ": cannot be read: " + std::strerror(errno) + "; what it said before counts");
        return std::nullopt;
    }
    return text.str();
}

std::optional<Door::Users> Door::read_users() const {
    Users out;
    for (const auto& path : files_.passwords) {
        auto all = text_of(path);
        if (!all) return std::nullopt;
        std::istringstream text(*std::move(all));
        int number = 1;
        for (std::string line; std::getline(text, line); ++number)
            if (auto user = auth::user_of_line(line); !user.empty())
                out.try_emplace(std::move(user), line);  // the first file's word counts
            else
                warn_(path + ":" + std::to_string(number) + ": nobody may come in by this line: expected user:$7$iterations$salt$hash");
    }
    return out;
}

std::optional<AccessRules> Door::read_rules() const {
    AccessRules out;
    for (const auto& path : files_.access) {
        const auto text = text_of(path);
        if (!text) return std::nullopt;
        out.add(*text, [&](int line, const char* expected) {
            warn_(path + ":" + std::to_string(line) + ": gives no right: expected " + expected);
        });
    }
    return out;
}

}  // namespace sutfleet::broker
