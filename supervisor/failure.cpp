#include "failure.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "reconcile.hpp"

namespace sutfleet {
namespace {

struct Meaning {
    std::string_view part;  ///< of the engine's message, in lower case
    std::string_view plain;
};

// As Docker Engine 20.10 to 29 and Podman 4 say it.
constexpr std::array k_meanings{
    Meaning{"bind source path does not exist", "mount source missing"},
    Meaning{"bind mount source path does not exist", "mount source missing"},
    Meaning{"error gathering device information", "device missing"},
    Meaning{"no such image", "image missing"},
    Meaning{"image not known", "image missing"},
    Meaning{"could not find network", "network missing"},
    Meaning{"network not found", "network missing"},
    Meaning{"unable to find network", "network missing"},
    Meaning{"port is already allocated", "port taken"},
    Meaning{"address already in use", "port taken"},
    Meaning{"device or resource busy", "device taken"},
    Meaning{"no space left on device", "disk full"},
    Meaning{"timeout was reached", "the engine hangs"},
    Meaning{"timed out", "the engine hangs"},
};

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

}  // namespace

BackoffPolicy retry_policy(const Error& error) {
    const bool hopeless = error.kind == ErrorKind::permanent || error.kind == ErrorKind::invalid_input;
    return hopeless ? k_hopeless_actions : k_failed_actions;
}

std::string plainly(const Error& error) {
    const auto text = lower(error.message);
    // "network <name> not found"
    if (text.find("network ") != std::string::npos && text.find(" not found") != std::string::npos)
        return "network missing: " + error.message;
    for (const auto& [part, plain] : k_meanings)
        if (text.find(part) != std::string::npos && !text.starts_with(plain)) return std::string(plain) + ": " + error.message;
    return error.message;
}

}  // namespace sutfleet
