#include "usage.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "sys/file.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_limit = 16 * 1024;  ///< of one of the kernel's files

std::optional<double> number_in(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return static_cast<double>(value);
}

/// A file that is a number, or the number behind `key ` at the beginning of a line.
std::optional<double> number_of(const std::string& path, std::string_view key = {}) {
    const auto text = sys::read_file(path, k_limit);
    if (!text) return std::nullopt;
    if (key.empty()) return number_in(*text);
    const auto wanted = "\n" + std::string(key) + " ";
    const auto all = "\n" + *text;
    const auto at = all.find(wanted);
    return at == std::string::npos ? std::nullopt : number_in(std::string_view(all).substr(at + wanted.size()));
}

std::string shown(const char* format, double value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

}  // namespace

std::optional<double> Usage::cpu_seconds() const {
    if (const auto micros = number_of(root_ + "/cpu.stat", "usage_usec")) return *micros / 1e6;
    if (const auto nanos = number_of(root_ + "/cpuacct/cpuacct.usage")) return *nanos / 1e9;
    return std::nullopt;
}

std::optional<double> Usage::memory_mib() const {
    auto used = number_of(root_ + "/memory.current");
    const auto cache = used ? number_of(root_ + "/memory.stat", "inactive_file") : number_of(root_ + "/memory/memory.stat", "total_inactive_file");
    if (!used) used = number_of(root_ + "/memory/memory.usage_in_bytes");
    if (!used) return std::nullopt;
    return (*used - std::min(*used, cache.value_or(0))) / (1024 * 1024);
}

std::vector<std::pair<std::string, std::string>> Usage::look(SteadyTime now) {
    std::vector<std::pair<std::string, std::string>> out;
    const auto cpu = cpu_seconds();
    const double passed = std::chrono::duration<double>(now - std::exchange(last_at_, now)).count();
    const auto before = std::exchange(last_cpu_, cpu);
    if (cpu && before && *cpu >= *before && passed > 0) out.emplace_back("cpu", shown("%.3f", (*cpu - *before) / passed));
    if (const auto memory = memory_mib()) out.emplace_back("memory", shown("%.1f", *memory));
    return out;
}

}  // namespace sutfleet::agent
