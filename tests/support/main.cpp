#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
#include <spdlog/cfg/env.h>
#include <spdlog/spdlog.h>

namespace {

/// What is logged in the test's own process would hide which check failed; SPDLOG_LEVEL=debug shows it.
[[maybe_unused]] const bool quiet = [] {
    spdlog::set_level(spdlog::level::off);
    spdlog::cfg::load_env_levels();
    return true;
}();

}  // namespace
