#include "registrar.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "auth/broker_password.hpp"
#include "sys/file.hpp"

namespace sutfleet {
namespace {

constexpr std::size_t k_access_limit = 4 * 1024 * 1024;
constexpr std::string_view k_user = "user ";
constexpr std::string_view k_write = "topic write ";
constexpr const char* k_next = ".next";  ///< no SUT's name has a dot
constexpr std::array<std::string_view, 2> k_people{"operator", "viewer"};

Result<void> keep_secret(const std::string& path, const std::string& text) {
    return sys::write_file_atomic(path, text, 0600, sys::Durability::durable);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::istringstream rest(text);
    std::vector<std::string> out;
    for (std::string line; std::getline(rest, line);)
        if (!line.empty()) out.push_back(std::move(line));
    return out;
}

}  // namespace

Registrar::Registrar(std::string state_dir, const std::string& auth_dir)
    : folder_(std::move(state_dir) + "/credentials"), auth_dir_(auth_dir), passwords_{auth_dir + "/agents.passwd"},
      access_{auth_dir + "/agents.acl"}, console_{auth_dir + "/console.passwd"} {}

Result<void> Registrar::ensure(const Topics& suts) {
    if (auto made = sys::make_folders(folder_, 0700); !made) return made;
    if (!std::exchange(recalled_, true)) {
        recall_topics();
        recall_users();
    }
    for (const auto& [sut, topics] : suts) {
        for (const auto& topic : topics) unwritten_ = topics_[sut].insert(topic).second || unwritten_;
        if (users_.contains(sut)) continue;
        auto user = make_user(sut, {});
        if (!user) return fail(user.error());
        users_[sut] = *std::move(user);
        unwritten_ = true;
    }
    return write_files();
}

Result<Registrar::User> Registrar::make_user(const SutName& sut, std::string_view earlier_line) {
    auto password = sys::read_file(path_of(sut), 1024);
    if (!password && password.error().kind != ErrorKind::not_found) return fail(password.error());  // the agent may have it
    if (!password || password->empty()) {
        password = auth::make_password();
        if (!password) return fail(password.error());
        if (auto written = keep_secret(path_of(sut), *password); !written) return fail(written.error());
    }
    auto line = auth::password_is(earlier_line, *password) ? Result<std::string>(std::string(earlier_line)) : auth::password_line(sut.str(), *password);
    if (!line) return fail(line.error());
    return User{*password, *std::move(line), sys::read_file(path_of(sut) + k_next, 1024).value_or("")};
}

Result<void> Registrar::forget(const SutName& sut) {
    users_.erase(sut);
    topics_.erase(sut);
    unwritten_ = true;
    ::unlink((path_of(sut) + k_next).c_str());
    ::unlink(path_of(sut).c_str());
    return write_files();
}

Result<void> Registrar::restore() {
    const auto lost = [](const AuthFile& file) { return file.written && sys::read_file(file.path, k_access_limit).value_or("") != *file.written; };
    for (auto* file : {&passwords_, &access_})
        if (lost(*file)) {
            file->written.reset();
            unwritten_ = true;
        }
    if (lost(console_))
        if (auto done = console_.write(*std::exchange(console_.written, std::nullopt)); !done) return done;
    return write_files();
}

std::string Registrar::credential(const SutName& sut) const {
    const auto found = users_.find(sut);
    return found == users_.end() ? std::string() : found->second.password;
}

std::string Registrar::newest(const SutName& sut) const {
    const auto found = users_.find(sut);
    return found == users_.end() || found->second.next.empty() ? credential(sut) : found->second.next;
}

std::set<SutName> Registrar::suts() const {
    std::set<SutName> out;
    for (const auto& [sut, user] : users_) out.insert(sut);
    return out;
}

Result<void> Registrar::rotate(const SutName& sut) {
    const auto found = users_.find(sut);
    if (found == users_.end()) return fail(ErrorKind::not_found, sut.str() + " has no credential");
    auto next = auth::make_password();
    if (!next) return fail(next.error());
    if (auto kept = keep_secret(path_of(sut) + k_next, *next); !kept) return kept;
    found->second.next = *std::move(next);
    return {};
}

Result<void> Registrar::delivered(const SutName& sut, const std::string& password) {
    const auto found = users_.find(sut);
    if (found == users_.end() || !rotating(sut) || found->second.next != password) return {};
    auto line = auth::password_line(sut.str(), password);
    if (!line) return fail(line.error());
    if (auto kept = keep_secret(path_of(sut), password); !kept) return kept;
    ::unlink((path_of(sut) + k_next).c_str());  // a life that ends before finds both the same
    found->second = {password, *std::move(line), {}};
    unwritten_ = true;
    return write_files();
}

Result<void> Registrar::begin_own(const std::string& password_file) {
    const auto next = auth::make_password();
    if (!next) return fail(next.error());
    return keep_secret(password_file + k_next, *next);
}

Result<void> Registrar::finish_own(const std::string& password_file) {
    const auto next = sys::read_file(password_file + k_next, 1024);
    if (!next || next->empty()) return {};
    std::string lines;
    for (const auto* user : {"supervisor", "fleet"}) {
        const auto line = auth::password_line(user, *next);
        if (!line) return fail(line.error());
        lines += *line + "\n";
    }
    const auto path = auth_dir_ + "/supervisor.passwd";
    if (auto written = sys::write_file_atomic(path, lines, 0640, sys::Durability::durable); !written) return written;
    if (auto kept = keep_secret(password_file, *next); !kept) return kept;
    ::unlink((password_file + k_next).c_str());
    return {};
}

Result<void> Registrar::open_console(const std::string& file, const std::string& broker, bool open_bench) {
    constexpr const char* k_console = "console";
    const auto password = auth::make_password();
    if (!password) return fail(password.error());
    const auto line = auth::password_line(k_console, *password);
    if (!line) return fail(line.error());
    if (auto done = console_.write(*line + "\n"); !done) return done;
    const auto settings = "SUTFLEET_BROKER=" + broker + "\nSUTFLEET_USER=" + k_console + "\nSUTFLEET_PASSWORD=" + *password + "\n" + (open_bench ? "SUTFLEET_OPEN=1\n" : "");
    return sys::write_file_atomic(file, settings, 0644, sys::Durability::fast);
}

Result<void> Registrar::set_person(const std::string& line) {
    const auto user = auth::user_of_line(line);
    if (std::ranges::find(k_people, user) == k_people.end())
        return fail(ErrorKind::invalid_input, "expected the line of a password file for operator or viewer");
    const auto path = auth_dir_ + "/people.passwd";
    const auto text = sys::read_file(path, k_access_limit);
    if (!text) return fail(text.error());
    std::string out = line + "\n";
    for (const auto& other : lines_of(*text))
        if (!other.starts_with(user + ":")) out += other + "\n";
    return sys::write_file_atomic(path, out, 0640, sys::Durability::durable);
}

Result<void> Registrar::AuthFile::write(const std::string& text) {
    if (written == text) return {};
    auto done = sys::write_file_atomic(path, text, 0640, sys::Durability::durable);
    if (done) written = text;
    return done;
}

Result<void> Registrar::write_files() {
    if (!unwritten_) return {};
    std::string users, rights;
    for (const auto& [sut, user] : users_) users += user.line + "\n";
    for (const auto& [sut, topics] : topics_) {
        rights += "user " + sut.str() + "\n";
        for (const auto& topic : topics) rights += "topic write " + topic + "\n";
    }
    // The right before the user who needs it.
    if (auto done = access_.write(rights); !done) return done;
    if (auto done = passwords_.write(users); !done) return done;
    unwritten_ = false;
    return {};
}

void Registrar::recall_topics() {
    auto sut = SutName::parse("");
    for (const auto& line : lines_of(sys::read_file(access_.path, k_access_limit).value_or(""))) {
        if (line.starts_with(k_user)) sut = SutName::parse(line.substr(k_user.size()));
        if (line.starts_with(k_write) && sut) topics_[*sut].emplace(line.substr(k_write.size()));
    }
}

void Registrar::recall_users() {
    for (const auto& line : lines_of(sys::read_file(passwords_.path, k_access_limit).value_or(""))) {
        const auto sut = SutName::parse(auth::user_of_line(line));
        if (!sut || sys::read_short_text(path_of(*sut)).empty()) continue;
        if (auto user = make_user(*sut, line)) users_[*sut] = *std::move(user);
    }
}

}  // namespace sutfleet
