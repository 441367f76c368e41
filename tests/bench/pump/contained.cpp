#include "contained.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "bench.hpp"
#include "conf/agent_conf.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace sutfleet::bench {
namespace {

constexpr const char* k_image = "debian:bookworm-slim";
constexpr const char* k_programs = "/opt/sutfleet";
constexpr std::chrono::minutes k_patience{2};

/// @return what it printed on stdout
std::string docker(std::vector<std::string> argv) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) give_up("pipe");
    const sys::UniqueFd in(ends[0]);
    sys::UniqueFd out(ends[1]);
    argv.insert(argv.begin(), "docker");
    const auto child = sys::spawn({argv, {std::string("PATH=") + std::getenv("PATH")}, {}, -1, out.get(), STDERR_FILENO});
    if (!child) give_up(child.error().message);
    out.reset();
    std::string text, some(4096, '\0');
    for (ssize_t got = 0; (got = ::read(in.get(), some.data(), some.size())) > 0;) text.append(some, 0, static_cast<std::size_t>(got));
    int status = 0;
    if (::waitpid(child->pid, &status, 0) != child->pid || status != 0) give_up("docker " + argv[1] + " failed");
    return text;
}

void write(const std::string& path, const std::string& text) {
    if (const auto written = sys::write_file_atomic(path, text, 0644, sys::Durability::fast); !written) give_up(written.error().message);
}

}  // namespace

Contained::Contained() : name_("sutfleet-bench" + folder_.path().substr(folder_.path().rfind('-'))) {
    if (::mkfifo((folder_.path() + "/go").c_str(), 0600) != 0) give_up("mkfifo");
}

Contained::~Contained() try {
    docker({"rm", "-f", name_});
} catch (const std::exception&) {  // it did not start, or the engine has said why not
}

void Contained::run(const std::vector<std::string>& argv) {
    std::vector<std::string> all{"run", "-d", "--name", name_, "--label", "io.sutfleet.bench=pump", "--network", "host", "--log-driver", "local",
                                 "--log-opt", "max-size=10m", "--log-opt", "max-file=3", "-v", folder_.path() + ":" + folder_.path()};
    all.insert(all.end(), mounts_.begin(), mounts_.end());
    all.emplace_back(k_image);
    all.insert(all.end(), argv.begin(), argv.end());
    docker(all);
}

void Contained::run_agent(const std::string& bundle, const std::string& broker_url, const std::string& sut, const AgentRules& rules) {
    for (const auto* sub : {"/conf/.current", "/state", "/run"}) std::filesystem::create_directories(folder_.path() + sub);
    const AgentConf conf{*SutName::parse(sut), "bench", broker_url, "", "b", rules};
    write(folder_.path() + "/conf/.current/agent.json", encode_agent_conf(conf));
    write(folder_.path() + "/conf/.current/.credential", "x");
    const auto in = std::string(k_programs);
    mounts_ = {"-v", bundle + ":" + in + ":ro"};
    run({in + "/lib/loader", "--library-path", in + "/lib", in + "/bin/agent-entry", "--conf-dir", folder_.path() + "/conf", "--state-dir",
         folder_.path() + "/state", "--run-dir", folder_.path() + "/run"});
}

double Contained::generate() const {
    sys::UniqueFd go;
    const auto waits = [&] {  // a pipe without a reader cannot be opened so
        go.reset(::open((folder_.path() + "/go").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
        return go.get() >= 0;
    };
    if (!test::eventually(waits, k_patience)) give_up("the generator in the container does not start");
    ::poll(nullptr, 0, 1000);  // let it come to rest
    if (::write(go.get(), "g", 1) != 1) give_up("nobody waits for go");
    double took = 0;
    const auto is_done = [&] { return static_cast<bool>(std::ifstream(folder_.path() + "/took") >> took); };
    if (!test::eventually(is_done, k_patience)) give_up("the generator in the container does not end");
    return took;
}

pid_t Contained::pid() const { return std::stoi(docker({"inspect", "-f", "{{.State.Pid}}", name_})); }

pid_t Contained::shim() const {
    std::ifstream file("/proc/" + std::to_string(pid()) + "/stat");
    std::string number, name, state;
    pid_t parent = -1;
    if (!(file >> number >> name >> state >> parent)) give_up("no parent of the container's first process");
    return parent;
}

}  // namespace sutfleet::bench
