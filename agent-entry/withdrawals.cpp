#include "withdrawals.hpp"

#include <charconv>
#include <filesystem>

#include "core/agent_files.hpp"
#include "sys/file.hpp"
#include "sys/log.hpp"

namespace sutfleet::agent {
namespace {

constexpr std::size_t k_limit = 64;

}  // namespace

std::vector<Withdrawal> read_withdrawals(const std::string& state_folder) {
    std::vector<Withdrawal> out;
    std::error_code error;
    for (std::filesystem::directory_iterator at(state_folder, error), end; !error && at != end; at.increment(error)) {
        const auto name = at->path().filename().string();
        if (!name.starts_with(agent_files::k_withdrawn)) continue;
        const auto id = JobId::parse(name.substr(agent_files::k_withdrawn.size()));
        const auto text = sys::read_short_text(at->path().string());
        unsigned number = 0;
        const auto [rest, bad] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool right = bad == std::errc{} && rest == text.data() + text.size() && text.size() < k_limit;
        if (!id || !right) sys::log(sys::Level::error, at->path().string() + ": expected withdrawn.<job id> with a number in it");
        if (id) out.push_back({*id, right ? std::optional(number) : std::nullopt, at->path().string()});
    }
    if (error) sys::log(sys::Level::error, state_folder + ": " + error.message());
    return out;
}

}  // namespace sutfleet::agent
