#include "calls.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "http_client.hpp"

using namespace sutfleet;
using docker::is_listed;

namespace {

std::string read(const std::string& path) {
    std::ifstream file(SOURCE_FOLDER "/" + path);
    REQUIRE(file);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The first column of the table under the heading: "GET /version".
std::set<std::string> documented() {
    const auto text = read("docs/reference.md");
    const auto from = text.find("## The engine's calls");
    REQUIRE(from != std::string::npos);
    std::istringstream lines(text.substr(from, text.find("\n## ", from + 1) - from));
    std::set<std::string> out;
    for (std::string line; std::getline(lines, line);)
        if (line.starts_with("| `")) out.insert(line.substr(3, line.find('`', 3) - 3));
    return out;
}

}  // namespace

TEST_CASE("engine calls: the documentation has the list of the code, and the code has no call that is not made") {
    std::set<std::string> listed;
    for (const auto& call : docker::k_calls) listed.insert(std::string(call.method) + " " + std::string(call.path));
    CHECK(listed.size() == docker::k_calls.size());
    CHECK(listed == documented());
    const auto code = read("supervisor/docker/docker_engine.cpp");
    for (const auto& call : docker::k_calls) {
        CAPTURE(call.path);
        const auto hole = call.path.find("{}");
        CHECK(code.find(call.path.substr(0, hole)) != std::string::npos);
        if (hole != std::string_view::npos) CHECK(code.find(call.path.substr(hole + 2)) != std::string::npos);
    }
}

TEST_CASE("engine calls: no other call is made") {
    for (const auto* path : {"/version", "/v1.41/containers/json?all=1", "/v1.44/containers/abc/json", "/images/a/b:c/json", "/v1.40/events?filters=%7B%7D"}) {
        CAPTURE(path);
        CHECK(is_listed("GET", path));
    }
    CHECK(is_listed("DELETE", "/v1.41/containers/abc?force=1&v=1"));
    for (const auto* path : {"/containers/prune", "/v1.41/containers/abc/attach", "/containers//start", "/containers/a/b/start", "/build/prune", "/v1.41/", ""}) {
        CAPTURE(path);
        CHECK_FALSE(is_listed("POST", path));
    }
    CHECK_FALSE(is_listed("DELETE", "/images/a"));
    const auto client = docker::HttpClient::open({"tcp://127.0.0.1:1"});
    const auto refused = client->send({"POST", "/v1.41/containers/prune?x=1", {}, {}, std::chrono::seconds{5}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "POST /v1.41/containers/prune is not on the list of calls in docker/calls.hpp");
}
