#include "sha256.hpp"

#include <unistd.h>

#include <vector>

#include "digest/sha256.hpp"

namespace sutfleet::agent {

std::string sha256_of(int fd, const std::function<bool()>& enough) {
    Sha256 sum;
    std::vector<char> buffer(256 * 1024);
    for (;;) {
        const auto got = ::read(fd, buffer.data(), buffer.size());
        if (got == 0) return sum.hex();
        if (got < 0 || enough()) return {};
        sum.add(buffer.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace sutfleet::agent
