#include "folder_tar.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <memory>
#include <numeric>

#include "sys/beneath.hpp"

namespace sutfleet {
namespace {

constexpr std::string_view k_ignore_file = ".dockerignore";
constexpr std::size_t k_block = 512, k_name = 100, k_part = 64 * 1024;

struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
};

void put(std::array<char, k_block>& header, std::size_t at, std::size_t size, std::string_view text) {
    std::memcpy(header.data() + at, text.data(), std::min(size, text.size()));
}

void put_octal(std::array<char, k_block>& header, std::size_t at, std::size_t size, unsigned long long value) {
    std::array<char, 32> text{};
    const auto length = std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(size - 1), value);
    put(header, at, size - 1, {text.data(), static_cast<std::size_t>(length)});
}

std::array<char, k_block> ustar(std::string_view name, char type, std::uint64_t size, unsigned mode, std::string_view link) {
    std::array<char, k_block> out{};
    put(out, 0, k_name, name);
    put_octal(out, 100, 8, mode);
    put_octal(out, 108, 8, 0);
    put_octal(out, 116, 8, 0);
    put_octal(out, 124, 12, size);
    put_octal(out, 136, 12, 0);
    out[156] = type;
    put(out, 157, k_name, link);
    put(out, 257, 6, std::string_view("ustar\0", 6));
    put(out, 263, 2, "00");
    std::fill_n(out.begin() + 148, 8, ' ');
    const auto sum = std::accumulate(out.begin(), out.end(), 0U,
                                     [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
    put_octal(out, 148, 7, sum);
    out[154] = '\0';
    return out;
}

std::uint64_t padding_of(std::uint64_t size) { return (k_block - size % k_block) % k_block; }

}  // namespace

Result<FolderTar> FolderTar::open(const std::string& parent, const std::string& name, const std::string& dockerfile, Limits limits) {
    auto folder = sys::open_beneath(parent, name);
    if (!folder) return fail(folder.error());
    struct stat status {};
    if (::fstat(folder->get(), &status) != 0 || !S_ISDIR(status.st_mode))
        return fail(ErrorKind::invalid_input, parent + "/" + name + ": expected a folder");
    FolderTar tar(parent + "/" + name, limits);
    tar.dockerfile_ = dockerfile;
    if (auto read = tar.read_rules(parent, name); !read) return fail(read.error());
    if (auto entered = tar.enter(*std::move(folder), ""); !entered) return fail(entered.error());
    return tar;
}

Result<void> FolderTar::read_rules(const std::string& parent, const std::string& name) {
    const auto file = sys::open_beneath(parent, name + "/" + std::string(k_ignore_file));
    if (!file) return file.error().kind == ErrorKind::not_found ? Result<void>{} : fail(file.error());
    std::string text(k_ignore_limit + 1, '\0');
    const auto got = ::read(file->get(), text.data(), text.size());
    if (got < 0) return fail(errno_error(shown_ + "/" + std::string(k_ignore_file), errno));
    if (static_cast<std::size_t>(got) > k_ignore_limit)
        return fail(ErrorKind::invalid_input, shown_ + "/" + std::string(k_ignore_file) + " is larger than 64 KiB");
    text.resize(static_cast<std::size_t>(got));
    rules_ = IgnoreRules(text);
    return {};
}

/// The engine needs these two to build, and leaves them out itself where the rules say so.
bool FolderTar::leaves_out(const std::string& path) const {
    return path != dockerfile_ && path != k_ignore_file && rules_.leaves_out(path);
}

Result<std::size_t> FolderTar::read(char* into, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
        if (given_ == ready_.size()) {
            ready_.clear();
            given_ = 0;
            if (auto made = next(); !made) return fail(made.error());
            if (ready_.empty()) break;
        }
        const auto part = std::min(size - done, ready_.size() - given_);
        std::memcpy(into + done, ready_.data() + given_, part);
        given_ += part;
        done += part;
    }
    return done;
}

/// The names in order, so that the same folder makes the same archive.
Result<void> FolderTar::enter(sys::UniqueFd folder, std::string path) {
    const std::unique_ptr<DIR, Close> entries(::fdopendir(::fcntl(folder.get(), F_DUPFD_CLOEXEC, 0)));
    if (!entries) return fail(errno_error(shown_ + "/" + path, errno));
    Level level{std::move(folder), std::move(path), {}};
    while (const auto* entry = ::readdir(entries.get())) {
        const std::string_view name(entry->d_name);
        if (name == "." || name == "..") continue;
        if (++entries_ > limits_.entries)
            return fail(ErrorKind::invalid_input, shown_ + " has more than " + std::to_string(limits_.entries) + " files");
        level.names.emplace_back(name);
    }
    std::ranges::sort(level.names);
    levels_.push_back(std::move(level));
    return {};
}

/// Something into ready_, or nothing at the end. What is left out, and a file without bytes, gives nothing by itself.
Result<void> FolderTar::next() {
    while (ready_.empty()) {
        if (file_) {
            if (auto part = read_file(); !part) return part;
            continue;
        }
        while (!levels_.empty() && levels_.back().names.empty()) levels_.pop_back();
        if (levels_.empty()) {
            if (!std::exchange(ended_, true)) ready_.append(2 * k_block, '\0');
            return {};
        }
        const auto name = std::move(levels_.back().names.front());
        levels_.back().names.pop_front();
        if (auto added = add(name); !added) return added;
    }
    return {};
}

Result<void> FolderTar::add(const std::string& name) {
    const auto path = levels_.back().path + name;
    struct stat status {};
    if (::fstatat(levels_.back().folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
        return fail(errno_error(shown_ + "/" + path, errno));
    if (leaves_out(path)) {
        const bool within = S_ISDIR(status.st_mode) && (rules_.takes_back() || dockerfile_.starts_with(path + "/"));
        return within ? begin_folder(name, path) : Result<void>{};
    }
    if (S_ISLNK(status.st_mode)) return add_link(name, path);
    if (S_ISDIR(status.st_mode)) return begin_folder(name, path);
    if (S_ISREG(status.st_mode)) return begin_file(name, path);
    return fail(ErrorKind::invalid_input, shown_ + "/" + path + " is neither a file, a folder nor a link");
}

Result<void> FolderTar::add_link(const std::string& name, const std::string& path) {
    std::string target(PATH_MAX, '\0');
    const auto length = ::readlinkat(levels_.back().folder.get(), name.c_str(), target.data(), target.size());
    if (length < 0) return fail(errno_error(shown_ + "/" + path, errno));
    target.resize(static_cast<std::size_t>(length));
    header(path, '2', 0, 0777, target);
    return {};
}

Result<void> FolderTar::begin_folder(const std::string& name, const std::string& path) {
    sys::UniqueFd folder(::openat(levels_.back().folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!folder || ::fstat(folder.get(), &status) != 0) return fail(errno_error(shown_ + "/" + path, errno));
    header(path + "/", '5', 0, status.st_mode & 07777);
    return enter(std::move(folder), path + "/");
}

Result<void> FolderTar::begin_file(const std::string& name, const std::string& path) {
    file_.reset(::openat(levels_.back().folder.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat status {};
    if (!file_ || ::fstat(file_.get(), &status) != 0) return fail(errno_error(shown_ + "/" + path, errno));
    file_left_ = static_cast<std::uint64_t>(status.st_size);
    file_padding_ = padding_of(file_left_);
    file_path_ = path;
    bytes_ += file_left_;
    if (bytes_ > limits_.bytes)
        return fail(ErrorKind::invalid_input, shown_ + " is larger than " + std::to_string(limits_.bytes >> 20) + " MiB");
    header(path, '0', file_left_, status.st_mode & 07777);
    return {};
}

void FolderTar::header(const std::string& name, char type, std::uint64_t size, unsigned mode, const std::string& link) {
    const auto append = [this](const std::array<char, k_block>& block) { ready_.append(block.data(), block.size()); };
    const auto append_long = [&](char kind, const std::string& text) {
        append(ustar("././@LongLink", kind, text.size() + 1, 0, ""));
        ready_ += text;
        ready_.append(1 + padding_of(text.size() + 1), '\0');
    };
    if (link.size() > k_name) append_long('K', link);
    if (name.size() > k_name) append_long('L', name);
    append(ustar(name, type, size, mode, link));
}

Result<void> FolderTar::read_file() {
    ready_.resize(std::min<std::uint64_t>(file_left_, k_part));
    const auto got = ready_.empty() ? 0 : ::read(file_.get(), ready_.data(), ready_.size());
    if (got < 0) return fail(errno_error(shown_ + "/" + file_path_, errno));
    if (got == 0 && file_left_ > 0) return fail(ErrorKind::transient, shown_ + "/" + file_path_ + " became shorter while it was read");
    ready_.resize(static_cast<std::size_t>(got));
    file_left_ -= static_cast<std::uint64_t>(got);
    if (file_left_ > 0) return {};
    ready_.append(file_padding_, '\0');
    file_.reset();
    return {};
}

}  // namespace sutfleet
