#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

/// The settings of a stack, which its shell exports: what a test starts gets those that the test names.
void forget_settings() {
    std::vector<std::string> names;
    for (char** entry = ::environ; *entry != nullptr; ++entry)
        if (const std::string_view text(*entry); text.starts_with("SUTFLEET_")) names.emplace_back(text.substr(0, text.find('=')));
    for (const auto& name : names) ::unsetenv(name.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    // What is logged in the test's own process would hide which check failed.
    if (std::getenv("SUTFLEET_LOG") == nullptr) spdlog::default_logger_raw()->set_level(spdlog::level::off);
    forget_settings();
    return doctest::Context(argc, argv).run();
}
