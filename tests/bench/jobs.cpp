// What a job costs in an agent and a broker of its own, each figure against the bare work that it cannot do without,
// taken by turns in the same run: a submit until it is accepted (journalled and answered), until its first line is at
// a subscriber, and how many short jobs a second a queue of them gives. Broker, journal and bare appends are on one
// file system, which must be a real one: a sync costs nothing in memory. Needs root, for the agent's process table.
// usage: jobs AGENT_ENTRY FOLDER COUNT JOBS

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

#include <cstdlib>
#include <functional>
#include <thread>

#include "bench.hpp"
#include "private_agent.hpp"
#include "sys/file.hpp"

using namespace sutfleet;
using namespace sutfleet::bench;

namespace {

constexpr int k_warm_up = 10;
constexpr int k_outstanding = 90;  ///< the agent lets 100 wait
constexpr int k_rounds = 5;        ///< of the queue, between rounds of the bare loop

/// As the stack's broker has it; the one of the tests saves its store at each change.
constexpr const char* k_broker_conf = "autosave_interval 30\nautosave_on_changes false\nmax_inflight_messages 1000\n";

std::string file_system(const std::string& folder) {
    struct statfs info {};
    if (::statfs(folder.c_str(), &info) != 0) give_up(folder + ": no such folder");
    switch (static_cast<unsigned long>(info.f_type)) {
        case 0xEF53: return "ext4";
        case 0x58465342: return "xfs";
        case 0x9123683E: return "btrfs";
        case 0x794C7630: return "overlay";
        case 0x01021994:
        case 0x858458F6: give_up(folder + " is in memory, where a sync costs nothing: name a folder on a disk");
        default: return "file system " + std::to_string(info.f_type);
    }
}

/// A folder in it where each run finds a part of the disk of its own. ext4 gives a new file an inode near its folder's and
/// steps over those freed in the last minutes, one by one: milliseconds a job, after the clean-up of an earlier run.
std::string spread_out(const std::string& folder) {
    auto place = folder + "/spread";
    ::mkdir(place.c_str(), 0755);
    const sys::UniqueFd fd(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int flags = 0;
    if (::ioctl(fd.get(), FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_TOPDIR_FL;
        ::ioctl(fd.get(), FS_IOC_SETFLAGS, &flags);  // refused where there is no such thing
    }
    return place;
}

/// The least that makes something durable: a record's worth of bytes at the end of a file, and one sync.
class Appender {
  public:
    explicit Appender(const std::string& path) : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
    double append() {
        static const std::string bytes(400, 'x');
        const auto start = sys::steady_now();
        if (!sys::write_all(fd_.get(), bytes) || ::fdatasync(fd_.get()) != 0) give_up("cannot append");
        return since(start);
    }

  private:
    sys::UniqueFd fd_;
};

/// A program that runs the agent as PID 1 of a process table of its own, as its container does: what a job leaves behind
/// is looked for in the whole table, and the machine's is a long one. TERM ends it all at once.
std::string contained(const std::string& program, const std::string& folder) {
    const auto path = folder + "/agent-entry";
    const auto script = "#!/bin/sh\nunshare --pid --fork --mount-proc --kill-child " + program + " \"$@\" &\ntrap \"kill -9 $!\" TERM\nwait\n";
    if (!sys::write_file_atomic(path, script, 0755, sys::Durability::fast)) give_up("cannot write " + path);
    return path;
}

/// Answers each k_there by a k_back, as anybody must who has heard a submit, with nothing done in between.
class Echo {
  public:
    explicit Echo(const std::string& url) : client_(listening(url)) {
        thread_ = std::jthread([this](const std::stop_token& stop) {
            client_.wait(
                [&](const mqtt::Message* message) {
                    if (message != nullptr) client_.publish(k_back, "pong");
                    return stop.stop_requested();
                },
                std::chrono::hours{1});
        });
    }

  private:
    static mqtt::SessionOptions listening(const std::string& url) {
        mqtt::SessionOptions out;
        out.url = url;
        out.client_id = "echo";
        out.subscriptions = {{k_there, 1, false}};
        return out;
    }
    Client client_;
    std::jthread thread_;
};

/// One run: a broker, an idle agent, and a client that submits.
struct Lab {
    explicit Lab(const std::string& program)
        : submitter(options(broker.url()), *SutName::parse("alpha")), agent(contained(program, folder.path()), broker.url()), appender(agent.folder() + "/bare") {
        submitter.client().wait([&](const mqtt::Message* message) { return message != nullptr && submitter.ready(*message); });
    }
    static mqtt::SessionOptions options(const std::string& url) {
        mqtt::SessionOptions out;
        out.url = url;
        out.client_id = "bench";
        return out;
    }
    /// With an id of its own, as sutctl sends it.
    std::string job(const std::string& command) {
        ++number;
        return R"({"id":")" + id() + R"(","command":")" + command + "\"}";
    }
    [[nodiscard]] std::string id() const { return "bench-" + std::to_string(number); }

    test::TempFolder folder;
    test::PrivateBroker broker{k_broker_conf};
    Echo echo{broker.url()};
    Submitter submitter;  ///< before the agent: it hears the first `ready`
    test::PrivateAgent agent;
    Appender appender;
    int number = 0;
};

/// `floor`: one round trip of a message to its own publisher, and the bare work. `there_and_back`: with the way through
/// the broker that an answer takes, too, which is twice as long.
struct Series {
    Samples ours, floor, there_and_back;
};

Series by_turns(Lab& lab, int count, const std::function<double()>& ours, const std::function<double()>& bare_work) {
    Series series;
    for (int i = -k_warm_up; i < count; ++i) {
        rest();
        const double floor = lab.submitter.round_trip() + bare_work();
        rest();
        const double there_and_back = lab.submitter.there_and_back() + bare_work();
        rest();
        const double real = ours();
        if (i < 0) continue;
        series.floor.push_back(floor);
        series.there_and_back.push_back(there_and_back);
        series.ours.push_back(real);
    }
    return series;
}

void print(const char* what, const std::string& against, Series series) {
    auto& [ours, floor, there_and_back] = series;
    const auto row = [](const std::string& name, Samples& samples) {
        std::printf("%-33s p50 %6.2f  p99 %6.2f", name.c_str(), at(samples, 0.5), at(samples, 0.99));
    };
    const auto ratio = [&](Samples& to) { std::printf("   ratio p50 %5.2f  p99 %5.2f", at(ours, 0.5) / at(to, 0.5), at(ours, 0.99) / at(to, 0.99)); };
    row(what, ours);
    std::printf("   (%zu, QoS 1; %ld between 38 and 50 ms)\n", ours.size(), delayed_acks(ours));
    row("  round trip + " + against, floor);
    ratio(floor);
    std::printf("  aim: p50 at most 1.5\n");
    row("  there and back + " + against, there_and_back);
    ratio(there_and_back);
    std::printf("\n");
}

Series accepted_when_idle(Lab& lab, int count) {
    return by_turns(
        lab, count,
        [&] {
            const auto payload = lab.job("true");
            return lab.submitter.submit(payload, k_submit_status, "accepted " + lab.id() + ":");
        },
        [&] { return lab.appender.append(); });
}

/// From a submit to the message that `took` waits for. Nothing starts meanwhile: a job holds the agent, and each sample leaves the
/// queue again.
Series when_busy(Lab& lab, int count, const std::function<double(const std::string& payload)>& took) {
    auto& submitter = lab.submitter;
    const auto hold = lab.job("exec sleep 1000");
    const auto holder = lab.id();
    const auto cancel = [&](const std::string& id, const std::string& then) {
        submitter.client().publish(submitter.topic("cmd/cancel"), id);
        submitter.client().wait([&](const mqtt::Message* message) {
            return message != nullptr && message->topic == submitter.topic(k_submit_status) && message->payload.ends_with(then);
        });
    };
    submitter.submit(hold, k_submit_status, "busy: " + holder, false);
    auto series = by_turns(
        lab, count,
        [&] {
            const double ms = took(lab.job("true"));
            cancel(lab.id(), " 0 queued");
            return ms;
        },
        [&] { return lab.appender.append(); });
    cancel(holder, "submit");
    return series;
}

Series accepted_when_busy(Lab& lab, int count) {
    return when_busy(lab, count, [&](const std::string& payload) {
        return lab.submitter.submit(payload, k_submit_status, "accepted " + lab.id() + ":", false);
    });
}

/// What a record says to whoever waits.
void print_position(Lab& lab, int count) {
    lab.submitter.client().subscribe(lab.submitter.topic("job/+"));  // not for the other series: it is more to hear
    auto samples = when_busy(lab, count, [&](const std::string& payload) {
                       return lab.submitter.submit(payload, "job/" + lab.id(), "\"position\":1", false);
                   }).ours;
    std::printf("submit to position in record, ms p50 %6.2f  p99 %6.2f  largest %.2f   aim: within 200\n", at(samples, 0.5), at(samples, 0.99),
                *std::ranges::max_element(samples));
}

Series first_line(Lab& lab, int count) {
    return by_turns(
        lab, count,
        [&] {
            const auto payload = lab.job("echo line-" + std::to_string(lab.number + 1) + ".");
            return lab.submitter.submit(payload, k_output, "line-" + std::to_string(lab.number) + ".");
        },
        [&] { return lab.appender.append() + spawn_and_read_line(); });
}

/// Seconds for `count` jobs, from the first submit until the agent has nothing left to do.
double queue_of_jobs(Lab& lab, int count) {
    const auto first = lab.number + 1;
    int submitted = 0, started = 0;
    const auto start = sys::steady_now();
    lab.submitter.client().wait([&](const mqtt::Message* message) {
        // The jobs start in order, so the number of the newest tells how many are gone from the queue.
        if (message != nullptr && message->topic == lab.submitter.topic(k_last_job))
            started = std::max(started, std::atoi(message->payload.c_str() + std::string("bench-").size()) - first + 1);
        for (; submitted < count && submitted - started < k_outstanding; ++submitted)
            lab.submitter.client().publish(lab.submitter.topic(k_submit), lab.job("true"));
        return started == count && message != nullptr && lab.submitter.ready(*message);
    });
    return since(start) / 1000;
}

double bare_jobs(Lab& lab, int count) {
    const auto start = sys::steady_now();
    for (int i = 0; i < count; ++i) {
        lab.appender.append();
        const auto child = sys::spawn({{"/bin/sh", "-c", "true"}, {}, {}, -1, -1, -1});
        if (!child || ::waitpid(child->pid, nullptr, 0) != child->pid) give_up("cannot run a shell");
        lab.appender.append();
    }
    return since(start) / 1000;
}

void print_throughput(Lab& lab, int count) {
    double ours = 0, floor = 0;
    const int each = count / k_rounds;
    for (int round = 0; round < k_rounds; ++round) {
        ours += queue_of_jobs(lab, each);
        floor += bare_jobs(lab, each);
    }
    const double jobs = each * k_rounds;
    std::printf("queued jobs of `true`             %6.0f a second     (%.0f, at most %d outstanding)\n", jobs / ours, jobs, k_outstanding);
    std::printf("  spawn, wait, two syncs          %6.0f a second     ratio %5.2f      aim: at least 0.5\n", jobs / floor, floor / ours);
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 5) give_up("usage: jobs AGENT_ENTRY FOLDER COUNT JOBS");
    const auto count = static_cast<int>(std::strtol(argv[3], nullptr, 10)), jobs = static_cast<int>(std::strtol(argv[4], nullptr, 10));
    if (count < 1 || jobs < k_rounds) give_up("too few samples");
    const auto disk = file_system(argv[2]);
    ::setenv("TMPDIR", spread_out(argv[2]).c_str(), 1);
    Lab lab(argv[1]);
    std::printf("journal and syncs on              %s\n", disk.c_str());
    print("submit to accepted, idle, ms", "sync", accepted_when_idle(lab, count));
    print("submit to accepted, busy, ms", "sync", accepted_when_busy(lab, count));
    print("submit to first line, ms", "sync + spawn", first_line(lab, count));
    print_throughput(lab, jobs);
    print_position(lab, count);
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "jobs: %s\n", error.what());
    return 1;
}
