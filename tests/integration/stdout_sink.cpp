// Stdout with readers of all kinds, on real pipes and files.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <csignal>

#include "private_broker.hpp"
#include "stdout_sink.hpp"
#include "sys/clock.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
using namespace std::chrono_literals;
using test::eventually;

namespace {

/// A sink into a pipe, and logs beside it.
struct Bench {
    explicit Bench(std::uint64_t max_bytes = 0) : max_bytes_(max_bytes) {
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        in.reset(ends[0]);
        out.reset(ends[1]);
        ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
        sink = std::make_unique<StdoutSink>(out.get());
    }
    std::shared_ptr<LogFile> log(const std::string& name) const { return *LogFile::open(folder.path() + "/" + name, max_bytes_, 2); }
    /// As the pump does it.
    void write(const std::shared_ptr<LogFile>& log, const std::string& bytes) const {
        const auto offset = log->end();
        REQUIRE(log->append(bytes));
        sink->pass(log, offset, bytes);
    }
    std::string read_all() const {
        std::string all, some(64 * 1024, '\0');
        eventually([&] {
            for (ssize_t got = 0; (got = ::read(in.get(), some.data(), some.size())) > 0;) all.append(some, 0, static_cast<std::size_t>(got));
            if (sink->behind()) sink->catch_up();
            return !sink->behind();
        });
        for (ssize_t got = 0; (got = ::read(in.get(), some.data(), some.size())) > 0;) all.append(some, 0, static_cast<std::size_t>(got));
        return all;
    }
    test::TempFolder folder;
    sys::UniqueFd in, out;
    std::unique_ptr<StdoutSink> sink;

  private:
    std::uint64_t max_bytes_;
};

std::string lines(int from, int to) {
    std::string out;
    for (int i = from; i < to; ++i) out += std::to_string(i) + "\n";
    return out;
}

}  // namespace

TEST_CASE("stdout: a reader that is stuck costs k_patience once, and gets all of it later") {
    const Bench bench;
    const auto log = bench.log("a"), other = bench.log("b");
    const auto start = sys::steady_now();
    for (int i = 0; i < 100; ++i) bench.write(log, lines(i * 10'000, (i + 1) * 10'000));
    bench.write(other, "other\n");
    CHECK(sys::steady_now() - start < 20 * StdoutSink::k_patience);  // not for each of the 101 writes
    CHECK(bench.sink->stuck());
    CHECK_FALSE(bench.sink->needs_time());  // nobody would use it
    CHECK(bench.read_all() == lines(0, 1'000'000) + "other\n");
    CHECK_FALSE(bench.sink->stuck());
    bench.write(log, "at once\n");
    CHECK_FALSE(bench.sink->behind());
    CHECK(bench.read_all() == "at once\n");
}

TEST_CASE("stdout: what is rotated away before it was read is missing, and the rest is whole") {
    const Bench bench(100'000);
    const auto log = bench.log("a");
    for (int i = 0; i < 100; ++i) bench.write(log, lines(i * 10'000, (i + 1) * 10'000));
    const auto got = bench.read_all();
    CHECK(got.starts_with(lines(0, 1'000)));
    CHECK(got.ends_with(lines(985'000, 1'000'000)));
    CHECK(got.size() < 500'000);
}

TEST_CASE("stdout: a slow reader gets time before a rotation takes away what it has to get") {
    const Bench bench(100'000);
    const auto log = bench.log("a");
    bench.write(log, lines(0, 15'000));  // more than a pipe takes
    bench.write(log, lines(15'000, 25'000));
    REQUIRE(bench.sink->stuck());
    bench.write(log, lines(25'000, 45'000));  // the log is at its limit: two rotated files and the newest
    std::string some(8 * 1024, '\0');
    REQUIRE(::read(bench.in.get(), some.data(), some.size()) > 0);
    bench.sink->catch_up();
    CHECK(bench.sink->behind());
    CHECK(bench.sink->needs_time());
    bench.read_all();
    CHECK_FALSE(bench.sink->needs_time());
}

TEST_CASE("stdout: a reader that has gone, a file, a full device") {
    Bench bench;
    const auto log = bench.log("a");
    bench.in.reset();
    std::signal(SIGPIPE, SIG_IGN);
    bench.write(log, "x\n");
    CHECK_FALSE(bench.sink->behind());
    for (const auto* path : {"/dev/null", "/dev/full"}) {
        const sys::UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
        StdoutSink sink(file.get());
        sink.pass(log, 0, "x\n");
        CHECK_FALSE(sink.behind());
    }
}

TEST_CASE("stdout: whoever shares it keeps its own way of writing") {
    const Bench bench;
    CHECK((::fcntl(bench.out.get(), F_GETFL) & O_NONBLOCK) == 0);
    CHECK((::fcntl(bench.sink->fd(), F_GETFL) & O_NONBLOCK) != 0);
}
