// Whatever is asked for, only a job's own log is read: no path, no link, no pipe.

#include <sys/stat.h>

#include <fstream>

#include "fuzz.hpp"
#include "scratch.hpp"
#include "tail.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view k_outside = "OUTSIDE", k_inside = "inside";

void make(const fs::path& top) {
    const auto jobs = top / "jobs";
    for (const auto* name : {"outside", "jobs/j1", "jobs/j2", "jobs/j4"}) fs::create_directories(top / name);
    std::ofstream(top / "outside/output.log") << k_outside;
    std::ofstream(jobs / "output.log") << k_outside;
    std::ofstream(jobs / "j1/output.log") << k_inside;
    fs::create_symlink(top / "outside/output.log", jobs / "j2/output.log");
    fs::create_directory_symlink(top / "outside", jobs / "j3");
    ::mkfifo((jobs / "j4/output.log").c_str(), 0600);
}

}  // namespace

void fuzz(std::string_view text) {
    static const Scratch scratch;
    static const std::string jobs = (make(scratch.path()), scratch.path() + "/jobs");
    const auto request = decode_tail(text);
    if (!request || !request->job) return;
    const auto piece = tail_of_file(jobs, *request->job, *request);
    if (piece) must(request->job->str() == "j1" && k_inside.find(piece->bytes) != std::string_view::npos);
}
