// Submit to the first output line at a subscriber, against what it cannot be quicker than: one round trip through the
// broker and one spawn of a shell, taken by turns in the same run. usage: first_line URL USER PASSWORD_FILE SUT COUNT

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "core/topics.hpp"
#include "mqtt/session.hpp"
#include "sys/clock.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

constexpr const char* k_ping = "bench/ping";
using Millis = std::chrono::duration<double, std::milli>;

[[noreturn]] void give_up(const std::string& why) { throw std::runtime_error(why); }

class Client {
  public:
    explicit Client(mqtt::SessionOptions options)
        : wake_(*sys::Wake::open()), session_(mqtt::Session::open(std::move(options), wake_)) {
        wait([&](const mqtt::Message*) { return session_->connected(); });
    }
    void publish(std::string topic, std::string payload) {
        mqtt::Publication publication;
        publication.topic = std::move(topic);
        publication.payload = std::move(payload);
        if (!session_->publish(publication)) give_up("the connection is gone");
    }
    /// Asks `found` of each message, and once of none after each wake.
    template <typename Found>
    void wait(Found found) {
        const auto until = sys::steady_now() + 30s;
        while (sys::steady_now() < until) {
            pollfd set{wake_.fd(), POLLIN, 0};
            ::poll(&set, 1, 100);
            wake_.clear();
            bool done = found(nullptr);
            for (const auto& message : session_->drain().messages) done = found(&message) || done;
            if (done) return;
        }
        give_up("no answer within 30 s");
    }

  private:
    sys::Wake wake_;
    std::unique_ptr<mqtt::Session> session_;
};

double spawn_and_read_line() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    const auto start = sys::steady_now();
    const auto child = sys::spawn({{"/bin/sh", "-c", "echo line"}, {}, {}, -1, ends[1], -1});
    if (!child) give_up(child.error().message);
    char byte = 0;
    if (::read(ends[0], &byte, 1) != 1) give_up("read");
    const auto took = sys::steady_now() - start;
    ::close(ends[0]);
    ::close(ends[1]);
    while (!sys::reap_one()) ::poll(nullptr, 0, 1);
    return Millis(took).count();
}

struct Bench {
    Client client;
    const Topics topics{std::string()};
    const SutName sut;

    double round_trip() {
        const auto start = sys::steady_now();
        client.publish(k_ping, "ping");
        client.wait([](const mqtt::Message* message) { return message != nullptr && message->topic == k_ping; });
        return Millis(sys::steady_now() - start).count();
    }
    double first_line(int number) {
        const auto mark = "line-" + std::to_string(::getpid()) + "-" + std::to_string(number);
        const auto start = sys::steady_now();
        double took = -1;
        client.publish(topics.of(sut, k_submit), "echo " + mark);
        client.wait([&](const mqtt::Message* message) {
            if (message == nullptr) return false;
            if (took < 0 && message->topic == topics.of(sut, k_output) && message->payload.find(mark) != std::string::npos)
                took = Millis(sys::steady_now() - start).count();
            return took >= 0 && message->topic == topics.of(sut, k_submit_status) && message->payload.starts_with("ready");
        });
        return took;
    }
};

double at(std::vector<double>& samples, double share) {
    std::ranges::sort(samples);
    return samples[std::min(samples.size() - 1, static_cast<std::size_t>(share * static_cast<double>(samples.size())))];
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 6) give_up("usage: first_line URL USER PASSWORD_FILE SUT COUNT");
    mqtt::SessionOptions options;
    options.url = argv[1];
    options.client_id = "bench-" + std::to_string(::getpid());
    options.user = argv[2];
    auto password = sys::read_file(argv[3], 1024).value_or("");
    while (!password.empty() && password.back() == '\n') password.pop_back();
    options.password = [password] { return password; };
    const auto sut = SutName::parse(argv[4]);
    if (!sut) give_up(sut.error().message);
    const Topics topics{std::string()};
    options.subscriptions = {{k_ping, 1, false}, {topics.of(*sut, k_output), 1, false}, {topics.of(*sut, k_submit_status), 1, false}};
    Bench bench{Client(std::move(options)), topics, *sut};
    std::vector<double> ours, floor;
    const auto count = std::strtol(argv[5], nullptr, 10);
    for (int i = -10; i < static_cast<int>(count); ++i) {  // ten to warm up
        ::poll(nullptr, 0, 10);          // both start from rest
        const double bare = bench.round_trip() + spawn_and_read_line();
        const double line = bench.first_line(i);
        if (i < 0) continue;
        floor.push_back(bare);
        ours.push_back(line);
    }
    const auto nagle = std::ranges::count_if(ours, [](double ms) { return ms >= 38 && ms <= 50; });
    std::printf("submit to first line, ms      p50 %6.2f  p99 %6.2f   (%d, QoS 1; %ld between 38 and 50 ms)\n", at(ours, 0.5),
                at(ours, 0.99), static_cast<int>(count), static_cast<long>(nagle));
    std::printf("round trip + spawn, ms        p50 %6.2f  p99 %6.2f\n", at(floor, 0.5), at(floor, 0.99));
    std::printf("ratio of the p50              %6.2f       aim: at most 2\n", at(ours, 0.5) / at(floor, 0.5));
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "first_line: %s\n", error.what());
    return 1;
}
