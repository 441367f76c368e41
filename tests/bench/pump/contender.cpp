#include "contender.hpp"

#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "line.hpp"

namespace sutfleet::bench {
namespace {

constexpr const char* k_topic = "alpha/output";
constexpr std::uint64_t k_file = std::uint64_t{1} << 34;  ///< not rotated: what is measured is the pump

struct Pipe {
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
        in.reset(ends[0]);
        out.reset(ends[1]);
    }
    sys::UniqueFd in, out;
};

std::vector<std::string> environment() { return {std::string("PATH=") + std::getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1"}; }

std::uint64_t size_of(const std::string& folder) {
    std::uint64_t all = 0;
    for (const auto& file : std::filesystem::directory_iterator(folder))
        if (const auto name = file.path().filename(); name != "lock" && name != "state") all += file.file_size();
    return all;
}

}  // namespace

Drain::Drain() {
    Pipe pipe;
    read_ = std::move(pipe.in);
    write_ = std::move(pipe.out);
    thread_ = std::jthread([this] {
        std::string buffer(64 * 1024, '\0');
        for (ssize_t got = 0; (got = ::read(read_.get(), buffer.data(), buffer.size())) > 0;) bytes_ += static_cast<std::uint64_t>(got);
    });
}

Drain::~Drain() { close_our_end(); }

Contender::Contender(Kind kind, const Programs& programs, const Load& load)
    : kind_(kind), programs_(programs), load_(load), broker_(k_broker) {
    if (::mkfifo((folder_.path() + "/go").c_str(), 0600) != 0) give_up("mkfifo");
    std::filesystem::create_directory(folder_.path() + "/log");
    if (publishes()) reader_.emplace(broker_.port(), k_topic);
    if (kind == Kind::agent) {
        AgentRules rules;
        rules.command = Command{generator()};
        rules.restart = RestartPolicy::no;
        rules.log.max_bytes = k_file;
        agent_ = std::make_unique<test::PrivateAgent>(programs.agent, broker_.url(), rules, "", drain_.end());
    } else {
        start_pipeline();
    }
    drain_.close_our_end();
    if (publishes() && !test::eventually([&] { return reader_->lines() > 0; })) give_up("no first line");
    if (prints() && !test::eventually([&] { return drain_.bytes() > 0; })) give_up("no first line on stdout");
    ::poll(nullptr, 0, 200);  // let it come to rest
}

Contender::~Contender() {
    agent_.reset();  // while somebody reads what it says
    for (const auto pid : pids_) ::kill(pid, SIGKILL);
    if (generator_ > 0) ::kill(generator_, SIGKILL);
}

std::vector<std::string> Contender::generator() const {
    return {programs_.generator, std::to_string(load_.lines), std::to_string(load_.bytes), load_.rate, folder_.path()};
}

pid_t Contender::start(std::vector<std::string> argv, int in, int out) const {
    const auto child = sys::spawn({std::move(argv), environment(), {}, in, out, STDERR_FILENO});
    if (!child) give_up(child.error().message);
    return child->pid;
}

void Contender::start_pipeline() {
    Pipe lines;
    const auto file = folder_.path() + "/log/lines";
    const auto port = std::to_string(broker_.port());
    if (kind_ == Kind::tee) pids_ = {start({"tee", file}, lines.in.get(), drain_.end())};
    if (kind_ == Kind::s6_log) pids_ = {start({"s6-log", "n100", "s268435455", folder_.path() + "/log"}, lines.in.get(), -1)};
    if (kind_ == Kind::python)
        pids_ = {start({"/usr/bin/python3", programs_.python_pump, port, k_topic, file}, lines.in.get(), drain_.end())};
    if (kind_ == Kind::tee_and_publish) {
        Pipe second;
        pids_ = {start({"tee", file}, lines.in.get(), second.out.get()),
                 start({"mosquitto_pub", "-l", "-q", "0", "-p", port, "-t", k_topic}, second.in.get(), -1)};
    }
    generator_ = start(generator(), -1, lines.out.get());
}

double Contender::cpu() const {
    if (agent_) return cpu_seconds(agent_->pid());
    double all = 0;
    for (const auto pid : pids_) all += cpu_seconds(pid);
    return all;
}

long Contender::resident() const {
    if (agent_) return resident_kib(agent_->pid());
    long all = 0;
    for (const auto pid : pids_) all += resident_kib(pid);
    return all;
}

void Contender::go() {
    cpu_before_ = cpu();
    broker_before_ = broker_cpu();
    const sys::UniqueFd fd(::open((folder_.path() + "/go").c_str(), O_WRONLY | O_CLOEXEC));
    start_ns_ = monotonic_ns();
    if (::write(fd.get(), "g", 1) != 1) give_up("nobody waits for go");
}

std::uint64_t Contender::arrived() const { return drain_.bytes() + (reader_ ? reader_->lines() : 0); }

bool Contender::here() const {
    if (prints() && drain_.bytes() < expected_bytes()) return false;
    return size_of(agent_ ? agent_->folder() + "/state/log" : folder_.path() + "/log") >= expected_bytes();
}

double Contender::wait_for_pipeline() {
    double used = 0;
    wait_for_end(generator_);
    generator_ = -1;
    for (const auto pid : std::exchange(pids_, {})) used += wait_for_end(pid);
    return used;
}

Outcome Contender::finish() {
    constexpr auto k_nothing_comes = std::chrono::seconds{15};
    Outcome out;
    const auto passed = [this] { return static_cast<double>(monotonic_ns() - start_ns_) / 1e9; };
    auto moved = sys::steady_now();
    for (std::uint64_t seen = 0; sys::steady_now() - moved < k_nothing_comes; ::poll(nullptr, 0, 1)) {
        out.peak_kib = std::max(out.peak_kib, resident());
        if (const auto now = arrived(); std::exchange(seen, now) != now) moved = sys::steady_now();
        if (out.local == 0 && here()) out.local = passed();
        if (out.local != 0 && (!publishes() || reader_->lines() + reader_->lost() > load_.lines)) break;
    }
    if (out.local == 0) give_up("file or stdout: not all of it is there");
    out.seconds = publishes() ? std::max(out.local, static_cast<double>(reader_->last_ns() - start_ns_) / 1e9) : out.local;
    out.cpu = (agent_ ? cpu() : wait_for_pipeline()) - cpu_before_;
    out.broker_cpu = broker_cpu() - broker_before_;
    if (!publishes()) return out;
    out.lost = load_.lines + 1 - std::min(load_.lines + 1, reader_->lines());
    out.doubled = reader_->doubled();
    return out;
}

}  // namespace sutfleet::bench
