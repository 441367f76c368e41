#include "job/job_id.hpp"

#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace sutfleet {

JobId make_job_id(WallTime now) {
    static std::mt19937_64 random{std::random_device{}()};
    constexpr std::string_view k_digits = "0123456789abcdefghjkmnpqrstvwxyz";
    auto ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
    std::string text(18, 'j');
    for (std::size_t i = 9; i > 0; --i, ms >>= 5) text[i] = k_digits[ms & 31];
    for (std::size_t i = 10; i < 18; ++i) text[i] = k_digits[random() & 31];
    return *JobId::parse(text);
}

}  // namespace sutfleet
