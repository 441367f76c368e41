#pragma once
// A supervisor of the test's own: the real program, with a fake engine, a broker and folders that go with it.

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

#include "fake_engine.hpp"
#include "private_broker.hpp"

namespace sutfleet::test {

class PrivateSupervisor {
  public:
    explicit PrivateSupervisor(std::string program);
    ~PrivateSupervisor();
    PrivateSupervisor(const PrivateSupervisor&) = delete;
    PrivateSupervisor& operator=(const PrivateSupervisor&) = delete;

    void write_conf(const std::string& sut, std::string_view text) const;
    void remove_conf(const std::string& sut) const;
    [[nodiscard]] std::string contexts() const { return folder_.path() + "/contexts"; }
    /// What it finds as its agents' programs from its next start on.
    void set_programs(std::string_view build) const;
    /// @param crash_at where it dies (sys/crash_point.hpp)
    void start(const std::string& crash_at = {});
    void signal(int number) const;
    [[nodiscard]] bool runs() const;
    [[nodiscard]] std::string log() const;  ///< of all its lives
    [[nodiscard]] std::chrono::nanoseconds cpu() const;       ///< of all its threads
    [[nodiscard]] std::chrono::nanoseconds main_cpu() const;  ///< of its main one
    [[nodiscard]] std::size_t resident_kib() const;
    [[nodiscard]] std::string metrics_socket() const { return folder_.path() + "/state/metrics.sock"; }

    FakeEngine engine{"lab"};
    PrivateBroker broker{"max_inflight_messages 1000\nautosave_on_changes false\nautosave_interval 30\n"};  // as the real one

  private:
    void stop();
    const std::string program_;
    TempFolder folder_;
    pid_t pid_ = -1;
};

}  // namespace sutfleet::test
