#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

int main(int argc, char** argv) {
    // What is logged in the test's own process would hide which check failed.
    if (std::getenv("SUTFLEET_LOG") == nullptr) spdlog::default_logger_raw()->set_level(spdlog::level::off);
    return doctest::Context(argc, argv).run();
}
