#pragma once
// One way to carry the generator's lines, with a broker, a checking reader and a drained stdout of its own. It is started,
// ready when line 0 has arrived, measured from go() on, and gone at its end. Throws when it cannot go on.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "private_agent.hpp"
#include "private_broker.hpp"
#include "usage.hpp"
#include "wire.hpp"

namespace sutfleet::bench {

enum class Kind { agent, tee, tee_and_publish, s6_log, python };

/// As the product's own broker, and nothing is saved meanwhile.
inline constexpr const char* k_broker =
    "max_inflight_messages 1000\nmax_queued_bytes 268435456\nautosave_on_changes false\nautosave_interval 1800\n";

struct Programs {
    std::string agent, bundle, generator, python_pump;
};

struct Load {
    std::uint64_t lines = 0;
    std::size_t bytes = 100;
    std::string rate = "0";  ///< as the generator takes it
};

struct Outcome {
    double seconds = 0;      ///< from go until file, stdout and subscriber have all, as far as the contender has them
    double local = 0;        ///< the same without the subscriber
    double cpu = 0;          ///< seconds
    double broker_cpu = 0;
    long peak_kib = 0;       ///< resident, as sampled
    std::uint64_t lost = 0, doubled = 0;
};

/// Reads a pipe to its end, and counts.
class Drain {
  public:
    Drain();
    ~Drain();
    [[nodiscard]] int end() const { return write_.get(); }  ///< for the program that writes
    void close_our_end() { write_.reset(); }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  private:
    sys::UniqueFd read_, write_;
    std::atomic<std::uint64_t> bytes_{0};
    std::jthread thread_;
};

class Contender {
  public:
    Contender(Kind kind, const Programs& programs, const Load& load);
    ~Contender();

    void go();
    /// Waits until all has arrived, or nothing more comes.
    Outcome finish();
    [[nodiscard]] double cpu() const;  ///< since its start
    [[nodiscard]] double broker_cpu() const { return cpu_seconds(broker_.pid()); }
    [[nodiscard]] test::PrivateBroker& broker() { return broker_; }
    [[nodiscard]] LineReader& reader() { return *reader_; }

  private:
    [[nodiscard]] std::vector<std::string> generator() const;
    void start_pipeline();
    pid_t start(std::vector<std::string> argv, int in, int out) const;
    [[nodiscard]] bool publishes() const { return kind_ != Kind::tee && kind_ != Kind::s6_log; }
    [[nodiscard]] bool prints() const { return kind_ == Kind::agent || kind_ == Kind::tee || kind_ == Kind::python; }
    [[nodiscard]] std::uint64_t expected_bytes() const { return (load_.lines + 1) * load_.bytes; }
    [[nodiscard]] std::uint64_t arrived() const;
    [[nodiscard]] bool here() const;  ///< all of it that stays on this machine
    [[nodiscard]] long resident() const;
    double wait_for_pipeline();

    const Kind kind_;
    const Programs& programs_;
    const Load load_;
    test::TempFolder folder_;
    test::PrivateBroker broker_;
    std::optional<LineReader> reader_;
    Drain drain_;
    std::unique_ptr<test::PrivateAgent> agent_;
    std::vector<pid_t> pids_;  ///< of a pipeline, without the generator
    pid_t generator_ = -1;
    std::int64_t start_ns_ = 0;
    double cpu_before_ = 0, broker_before_ = 0;
};

}  // namespace sutfleet::bench
