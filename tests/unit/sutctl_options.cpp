#include <doctest/doctest.h>

#include "connection.hpp"
#include "job/submit_request.hpp"
#include "options.hpp"
#include "submission.hpp"

using namespace sutfleet::ctl;
using namespace std::chrono_literals;

namespace {

Parsed parse(std::vector<const char*> words) {
    words.insert(words.begin(), "sutctl");
    return parse_options(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("sutctl: command lines that are understood") {
    auto submit = parse({"submit", "alpha", "--wait", "--timeout", "90s", "--", "echo", "-n", "x"});
    REQUIRE(submit.options);
    CHECK(submit.options->wait);
    CHECK(submit.options->timeout == 90s);
    CHECK(submit.options->words == std::vector<std::string>{"echo", "-n", "x"});
    CHECK(parse({"--json", "ps"}).options->json);
    CHECK(parse({"ps", "--json"}).options->json);
    CHECK(parse({"logs", "-f", "--tail", "5", "alpha", "j1"}).options->tail == 5);
    CHECK_FALSE(parse({"logs", "alpha"}).options->tail);
    CHECK(parse({"ps", "--color", "never"}).options->color == Color::never);
    CHECK(parse({"reinit", "alpha", "flash"}).options->step == "flash");
    CHECK(parse({"reinit", "alpha"}).options->step.empty());
    CHECK(parse({"restart", "alpha", "--now"}).options->now);
    CHECK(parse({"reset", "--purge", "--now", "--yes", "alpha"}).options->purge);
}

TEST_CASE("sutctl: wrong command lines are errors that name what is wrong") {
    const auto wrong = [](std::vector<const char*> words) {
        const auto parsed = parse(std::move(words));
        CHECK_FALSE(parsed.options);
        CHECK(parsed.exit == 2);
        return parsed.error;
    };
    CHECK(wrong({"ps", "--bogus"}).find("--bogus") != std::string::npos);
    CHECK(wrong({"bogus"}).find("bogus") != std::string::npos);
    CHECK_FALSE(wrong({}).empty());
    CHECK(wrong({"submit", "alpha"}).find("expected a command") != std::string::npos);
    CHECK(wrong({"submit", "alpha", "x", "-f", "y"}).find("not both") != std::string::npos);
    CHECK(wrong({"submit", "alpha", "x", "--timeout", "soon"}).find("soon") != std::string::npos);
    CHECK(wrong({"reset", "alpha", "--now"}).find("--purge") != std::string::npos);
    CHECK(wrong({"restart", "alpha", "--purge"}).find("--purge") != std::string::npos);
    CHECK(wrong({"ps", "--color", "blue"}).find("blue") != std::string::npos);
    CHECK(wrong({"logs", "alpha", "--tail", "x"}).find("tail") != std::string::npos);
}

TEST_CASE("sutctl: help and version are no errors") {
    CHECK(parse({"--help"}).exit == 0);
    CHECK(parse({"--help"}).out.find("submit") != std::string::npos);
    CHECK(parse({"--version"}).out.starts_with("sutctl "));
}

TEST_CASE("sutctl: one word is a script, several run as they are") {
    CHECK(script_of({"a; b"}) == "a; b");
    CHECK(script_of({"echo", "a b", "", "it's", "$x"}) == "echo 'a b' '' 'it'\\''s' '$x'");
}

TEST_CASE("sutctl: what is submitted always has an id") {
    const Options none;
    CHECK(make_submission("uname -a", "j1", none)->payload ==
          R"({"command":"uname -a","id":"j1"})");
    Options timed;
    timed.timeout = 90s;
    CHECK(make_submission(R"({"command":"x"})", "j1", timed)->payload ==
          R"({"command":"x","id":"j1","timeout":"90s"})");
    CHECK(make_submission(R"({"id":"own"})", "j1", none)->id == "own");
    CHECK(make_submission(R"({"id":"a b"})", "j1", none).error().exit == 2);
    CHECK(make_submission("{ not json", "j1", none).error().exit == 2);
    CHECK(make_submission(" \n", "j1", none).error().exit == 2);
    CHECK(make_submission("\xff", "j1", none).error().exit == 2);
    CHECK(make_submission(std::string(sutfleet::k_submit_limit, 'x'), "j1", none).error().exit == 4);
    CHECK(make_job_id() != make_job_id());
    CHECK(make_job_id().size() == 24);
}

TEST_CASE("sutctl: the environment file") {
    const auto values = parse_env_file("# c\nexport A=1\n B = \"x y\" \r\nC='z'\nD\nE=a=b");
    CHECK(values ==
          std::map<std::string, std::string>{{"A", "1"}, {"B", "x y"}, {"C", "z"}, {"E", "a=b"}});
}

TEST_CASE("sutctl: where the broker is found") {
    std::map<std::string, std::string> set{{"SUTFLEET_PASSWORD", "p"},
                                           {"SUTFLEET_BROKER", "mqtt://h:1"}};
    const Environment environment = [&](const char* name) { return set[name]; };
    const auto found = find_connection(environment, "/");
    REQUIRE(found);
    CHECK(found->url == "mqtt://h:1");
    CHECK(found->user == "operator");
    set = {{"SUTFLEET_ENV_FILE", "/nowhere/client.env"}};
    CHECK(find_connection(environment, "/").error().message.find("/nowhere/client.env") !=
          std::string::npos);
    set.clear();
    CHECK(find_connection(environment, "/").error().exit == 3);
}

TEST_CASE("sutctl: cancel names a job of a SUT, or with --queue one of a queue") {
    CHECK(parse({"cancel", "alpha"}).options->sut == "alpha");
    CHECK(parse({"cancel", "alpha", "j1"}).options->job == "j1");
    const auto queued = parse({"cancel", "--queue", "lab", "j1"});
    REQUIRE(queued.options);
    CHECK(queued.options->queue == "lab");
    CHECK(queued.options->job == "j1");
    CHECK(queued.options->sut.empty());
    CHECK(parse({"cancel"}).error == "cancel: expected the name of a SUT, or --queue NAME");
    for (const auto& words : {std::vector<const char*>{"cancel", "--queue", "lab"}, {"cancel", "--queue", "lab", "alpha", "j1"}})
        CHECK(parse(words).error == "cancel: expected --queue NAME and the id of a job");
}
