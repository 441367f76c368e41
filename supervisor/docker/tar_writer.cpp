#include "tar_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <utility>

namespace sutfleet::docker {
namespace {

constexpr std::size_t k_block = 512;
constexpr std::size_t k_name = 100;

using Header = std::array<char, k_block>;

void put_text(Header& header, std::size_t at, std::size_t size, const std::string& text) {
    std::memcpy(header.data() + at, text.data(), std::min(size, text.size()));
}

void put_octal(Header& header, std::size_t at, std::size_t size, unsigned long long value) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%0*llo", static_cast<int>(size - 1), value);
    put_text(header, at, size - 1, text.data());
}

char type_flag(VolumeEntry::Kind kind) {
    switch (kind) {
        case VolumeEntry::Kind::file: return '0';
        case VolumeEntry::Kind::link: return '2';
        case VolumeEntry::Kind::folder: return '5';
    }
    return '0';
}

bool escapes(const std::string& path) {
    return path.empty() || path.front() == '/' || path == ".." || path.starts_with("../") ||
           path.find("/../") != std::string::npos || path.ends_with("/..") || path.find('\0') != std::string::npos;
}

Header header_of(const std::string& name, const VolumeEntry& entry) {
    Header header{};
    const bool file = entry.kind == VolumeEntry::Kind::file;
    put_text(header, 0, k_name, name);
    put_octal(header, 100, 8, entry.mode);
    put_octal(header, 108, 8, entry.uid);
    put_octal(header, 116, 8, entry.gid);
    put_octal(header, 124, 12, file ? entry.content.size() : 0);
    put_octal(header, 136, 12, 0);
    header[156] = type_flag(entry.kind);
    if (entry.kind == VolumeEntry::Kind::link) put_text(header, 157, k_name, entry.content);
    put_text(header, 257, 6, std::string("ustar\0", 6));
    put_text(header, 263, 2, "00");
    std::fill_n(header.begin() + 148, 8, ' ');
    const auto sum = std::accumulate(header.begin(), header.end(), 0U,
                                     [](unsigned total, char c) { return total + static_cast<unsigned char>(c); });
    put_octal(header, 148, 7, sum);
    header[154] = '\0';
    return header;
}

}  // namespace

Result<std::string> write_tar(const std::vector<VolumeEntry>& entries) {
    std::string out;
    for (const auto& entry : entries) {
        if (escapes(entry.path)) return fail(ErrorKind::invalid_input, "bad path in an archive: " + entry.path);
        auto name = entry.path;
        if (entry.kind == VolumeEntry::Kind::folder) name += '/';
        if (name.size() >= k_name || (entry.kind == VolumeEntry::Kind::link && entry.content.size() >= k_name))
            return fail(ErrorKind::invalid_input, "path too long for an archive: " + name);
        const auto header = header_of(name, entry);
        out.append(header.data(), header.size());
        if (entry.kind != VolumeEntry::Kind::file) continue;
        out += entry.content;
        out.resize((out.size() + k_block - 1) / k_block * k_block, '\0');
    }
    out.append(2 * k_block, '\0');
    return out;
}

Result<std::string> read_tar_file(std::string_view tar) {
    std::string content;
    const std::function<bool(std::string_view)> sink = [&](std::string_view bytes) { return content.append(bytes), true; };
    TarFile file(sink);
    file.take(tar);
    if (const auto whole = file.finish(); !whole) return fail(whole.error());
    return content;
}

bool TarFile::take(std::string_view bytes) {
    while (!done_ && !bytes.empty()) {
        if (left_ == 0) {
            const auto part = bytes.substr(0, k_block - header_.size());
            header_ += part;
            bytes.remove_prefix(part.size());
            if (header_.size() == k_block && !take_header()) done_ = true;
            continue;
        }
        const auto part = bytes.substr(0, left_);
        bytes.remove_prefix(part.size());
        left_ -= part.size();
        if (!skips_) done_ = !sink_(part) || left_ == 0;
    }
    return !done_;
}

/// @return false when nothing follows that is wanted
bool TarFile::take_header() {
    constexpr std::size_t k_size_at = 124, k_size_length = 11, k_type_at = 156;
    const auto header = std::exchange(header_, {});
    const char type = header[k_type_at];
    const auto read = std::from_chars(header.data() + k_size_at, header.data() + k_size_at + k_size_length, left_, 8);
    if (read.ec != std::errc{}) left_ = 0, wrong_ = "its size is no octal number";
    skips_ = type == 'x' || type == 'g';
    if (skips_) left_ = (left_ + k_block - 1) / k_block * k_block;
    begun_ = !skips_ && (type == '0' || type == '\0');
    if (!skips_ && !begun_) wrong_ = "found an entry of type '" + std::string(1, type) + "'";
    return wrong_.empty() && (skips_ || left_ > 0);
}

Result<void> TarFile::finish() const {
    if (!wrong_.empty()) return fail(begun_ ? ErrorKind::invalid_input : ErrorKind::not_found, "expected a file in the archive: " + wrong_);
    if (!begun_ || !done_) return fail(ErrorKind::invalid_input, "the archive is cut off");
    return {};
}

}  // namespace sutfleet::docker
