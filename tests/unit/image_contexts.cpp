// Contexts as they are written, who waits for an image, and what a person asks of a SUT.
#include <doctest/doctest.h>

#include "conf/context_yaml.hpp"
#include "docker/image_answers.hpp"
#include "images/ignore_rules.hpp"
#include "images/image_book.hpp"
#include "images/image_supply.hpp"
#include "sut_order.hpp"

using namespace sutfleet;
using namespace std::chrono_literals;

namespace {

const SteadyTime k_now{std::chrono::hours{1}};
const SutName k_alpha = *SutName::parse("alpha"), k_bravo = *SutName::parse("bravo");

std::string errors_of(std::string_view text) {
    const auto decoded = decode_context(text);
    std::string out;
    if (decoded) return out;
    for (const auto& error : decoded.error()) out += to_string("c.yaml", error) + "\n";
    return out;
}

std::string sha() { return std::string(64, 'a'); }

}  // namespace

TEST_CASE("context: what it says") {
    const auto whole = decode_context("engine: docker\nimage: lab/agent:1\narchive: {file: sub/agent.tar.gz, sha256: " + sha() +
                                      "}\nbuild: {dockerfile: docker/Agent, args: {A: '1'}, target: run, network: host}\npull: true\n");
    REQUIRE(whole);
    CHECK(whole->image == "lab/agent:1");
    CHECK(whole->archive == ImageArchive{"sub/agent.tar.gz", sha()});
    CHECK(whole->build == ImageBuild{"docker/Agent", {{"A", "1"}}, "run", "host"});
    CHECK(whole->pull);
    CHECK(decode_context("image: lab/agent\nbuild: true\n")->image == "lab/agent:latest");
    CHECK(decode_context("image: lab/agent\nbuild: true\n")->build == ImageBuild{});
    CHECK_FALSE(decode_context("image: lab/agent\nbuild: false\n")->build);
    CHECK(decode_context("{\"image\": \"host:5000/agent\"}")->image == "host:5000/agent:latest");
    CHECK(decode_context("image: lab/agent@sha256:" + sha() + "\npull: true\n")->image == "lab/agent@sha256:" + sha());
}

TEST_CASE("context: each broken rule with its place and what was expected") {
    struct Row {
        std::string text, error;
    };
    const std::vector<Row> rows{
        {"", "c.yaml:1:1: the file is empty: expected keys such as 'image' and 'build'\n"},
        {"- a\n", "c.yaml:1:1: expected `key: value` lines, found a list\n"},
        {"build: true\n", "c.yaml:1:1: 'image' is missing: expected the image that agents run, such as lab/agent:1\n"},
        {"image: a\nimgae: b\n", "c.yaml:2:1: "},
        {"image: a\nimage: b\n", "c.yaml:2:1: 'image': duplicate key, it is already set in line 1\n"},
        {"image: 'a b'\n", "c.yaml:1:8: "},
        {"image: a\nengine: lxc\n", "c.yaml:2:9: "},
        {"image: a\nbuild: yes\n", "c.yaml:2:8: "},
        {"image: a\nbuild: {dockerfile: ../x}\n", "c.yaml:2:21: "},
        {"image: a\nbuild: {dockerfil: x}\n", "c.yaml:2:9: "},
        {"image: a\npull: maybe\n", "c.yaml:2:7: "},
        {"image: a\narchive: x.tar\n", "c.yaml:2:10: "},
        {"image: a\narchive: {file: x.tar}\n", "c.yaml:2:10: 'archive': expected its 'sha256' too\n"},
        {"image: a\narchive: {file: x.tar, sha256: " + std::string(64, 'A') + "}\n", "c.yaml:2:32: "},
        {"image: a@sha256:b\nbuild: true\n", "c.yaml:1:8: 'image': expected a tag"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK_MESSAGE(errors_of(row.text).starts_with(row.error), errors_of(row.text));
    }
    for (const auto* path : {"/etc/passwd", "../x", "a/../../x", "a/..", "..", ".", "a//b", "a/", "''"}) {
        CAPTURE(path);
        CHECK(errors_of("image: a\narchive: {file: " + std::string(path) + ", sha256: " + sha() + "}\n").starts_with("c.yaml:2:17: 'archive.file': expected a file within contexts/images/"));
    }
}

TEST_CASE("context: names, and the engine that it is for") {
    for (const auto* good : {"rpi", "rpi-4", "a0"}) CHECK(is_context_name(good));
    for (const auto* bad : {"", "a", "-a", "a-", "Rpi", "../x", "a/b", "images"}) CHECK_FALSE(is_context_name(bad));
    CHECK(engine_trouble({}, "unix:///s").empty());
    ImageContext context;
    context.engine = "unix:///s";
    CHECK(engine_trouble(context, "unix:///s").empty());
    context.engine = "podman";
    CHECK(engine_trouble(context, "unix:///s").find("no image is made and no container is made or changed") != std::string::npos);
}

TEST_CASE("image book: one image is made once, however many wait, and a failure is tried again later") {
    ImageBook book;
    book.want("rpi", "lab/rpi:1", k_alpha);
    book.want("rpi", "lab/rpi:1", k_bravo);
    CHECK(book.begin(k_now) == std::vector<std::string>{"rpi"});
    CHECK(book.begin(k_now).empty());
    book.says("rpi", "building image lab/rpi:1");
    CHECK(book.wait_of("rpi") == ImageWait{"building image lab/rpi:1", k_now});
    CHECK(book.end("rpi", "no space", k_now, 0.5).size() == 2);
    CHECK(book.wait_of("rpi")->what == "image missing: no space; it is tried again");
    CHECK(book.begin(k_now + 1s).empty());
    CHECK(book.due() == k_now + 7500ms);
    CHECK(book.begin(k_now + 8s).size() == 1);
    book.end("rpi", "no space", k_now + 8s, 0.5);
    CHECK(book.due() == k_now + 8s + 15s);
    CHECK_FALSE(book.retry("rpi", "lab/rpi:1"));  // as when somebody has changed it
    CHECK(book.begin(k_now + 9s).size() == 1);
    CHECK(book.end("rpi", "", k_now + 9s, 0.5).size() == 2);
    CHECK_FALSE(book.wait_of("rpi"));
    CHECK_FALSE(book.due());
}

TEST_CASE("image book: two contexts of one image go one after the other; a changed one is begun anew; nobody waits, nothing is made") {
    ImageBook book;
    book.want("one", "lab/x:1", k_alpha);
    book.want("two", "lab/x:1", k_bravo);
    CHECK(book.begin(k_now) == std::vector<std::string>{"one"});
    CHECK_FALSE(book.due());
    CHECK_FALSE(book.is_outdated("one"));
    CHECK(book.retry("one", "lab/y:1"));
    CHECK(book.is_outdated("one"));
    CHECK(book.end("one", "it was ended", k_now, 0).size() == 1);
    CHECK(book.wait_of("one") == ImageWait{"image missing: lab/y:1", std::nullopt});
    CHECK(book.begin(k_now) == std::vector<std::string>{"one", "two"});
    CHECK(book.leave(k_alpha, "one") == std::nullopt);
    CHECK(book.waits(k_alpha));
    CHECK(book.leave(k_alpha, "") == "one");
    CHECK_FALSE(book.waits(k_alpha));
    CHECK(book.end("one", "nobody waits", k_now, 0).empty());
    CHECK_FALSE(book.wait_of("one"));
    CHECK(book.leave(k_bravo, "") == "two");
    book.want("two", "lab/x:1", k_alpha);  // before it has ended
    CHECK(book.is_outdated("two"));
    CHECK(book.end("two", "it was ended", k_now, 0).size() == 1);
    CHECK(book.begin(k_now) == std::vector<std::string>{"two"});
}

TEST_CASE("the ways to an image, as a plan says them") {
    ImageOrder order{"rpi", {"", "lab/rpi:1", ImageArchive{"a.tar", sha()}, ImageBuild{}, true}};
    CHECK(ways_of(order) == "load contexts/images/a.tar, else build contexts/rpi/, else pull it");
    CHECK(ways_of({"rpi", {}}).empty());
}

TEST_CASE("what an engine says while it makes an image") {
    std::vector<std::string> lines;
    const std::function<void(std::string_view)> said = [&](std::string_view line) { lines.emplace_back(line); };
    docker::ImageAnswers answers(said);
    answers.take("{\"stream\":\"Step 1/2 : FR\"}\n{\"stream\":\"OM scratch\\n\"}\n{\"stream\":\"\\n\"}\n{\"au");
    answers.take("x\":{\"ID\":\"sha256:1\"}}\nnonsense\n{\"status\":\"Downloading\",\"progress\":\"[=> ]\",\"id\":\"a\"}\n");
    answers.take("{\"status\":\"Pull complete\",\"id\":\"a\"}\n{\"stream\":\"last\"}");
    CHECK(answers.finish().empty());
    CHECK(lines == std::vector<std::string>{"Step 1/2 : FROM scratch", "a: Pull complete", "last"});
    docker::ImageAnswers refused(said);
    refused.take(R"({"message":"dockerfile parse error"})");
    CHECK(refused.finish() == "dockerfile parse error");
    docker::ImageAnswers failed(said);
    failed.take("{\"errorDetail\":{\"code\":1,\"message\":\"returned 1\"},\"error\":\"returned 1\"}\n");
    CHECK(failed.finish() == "returned 1");
    docker::ImageAnswers flooded(said);
    const std::string part(1024 * 1024, 'x');
    for (int i = 0; i < 64; ++i) flooded.take(part);
    CHECK(flooded.finish().empty());
}

TEST_CASE("what a .dockerignore leaves out") {
    struct Row {
        std::string rules, path;
        bool out;
    };
    const std::vector<Row> rows{
        {"", "a", false},
        {"# a\n", "a", false},
        {"a", "a", true},
        {" a \r\n", "a", true},
        {"a", "a/b/c", true},
        {"a", "b/a", false},
        {"/a", "a", true},
        {"./a/", "a", true},
        {"x/../a", "a", true},
        {"*.log", "x.log", true},
        {"*.log", "d/x.log", false},
        {"*/*.log", "d/x.log", true},
        {"**/*.log", "x.log", true},
        {"**/*.log", "d/e/x.log", true},
        {"d/**", "d/e/x", true},
        {"d/**/x", "d/x", true},
        {"d/**/x", "e/x", false},
        {"**", "anything/at/all", true},
        {"?.tx[a-t]", "a.txt", true},
        {"?.tx[^t]", "a.txt", false},
        {"a\\*", "a*", true},
        {"a\\*", "ab", false},
        {"*\n!keep", "keep", false},
        {"*\n!keep", "drop", true},
        {"big\n!big/needed", "big/needed", false},
        {"big\n!big/needed", "big/x", true},
        {"!a\na", "a", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.rules);
        CAPTURE(row.path);
        CHECK(IgnoreRules(row.rules).leaves_out(row.path) == row.out);
    }
    CHECK_FALSE(fits(std::string(5000, '*') + "b", std::string(5000, 'a')));  // in time
    for (const auto* odd : {"[", "[]", "[^", "[a-", "\\", "[^]"}) CHECK_FALSE(fits(odd, "xy"));
}

TEST_CASE("what restart and reset are asked") {
    CHECK(parse_sut_order("restart", "alpha")->sut == k_alpha);
    CHECK_FALSE(parse_sut_order("restart", "alpha")->now);
    CHECK(parse_sut_order("restart", "alpha --now")->now);
    CHECK(parse_sut_order("reset", "alpha --purge")->purge);
    CHECK(parse_sut_order("reset", " alpha  --purge --now ")->now);
    for (const auto& [verb, argument] : std::vector<std::pair<std::string, std::string>>{
             {"restart", ""}, {"restart", "Alpha"}, {"restart", "alpha --purge"}, {"restart", "alpha now"}, {"reset", "alpha --now"}, {"conf", "alpha --now"}}) {
        CAPTURE(argument);
        const auto order = parse_sut_order(verb, argument);
        REQUIRE_FALSE(order);
        CHECK_FALSE(order.error().message.empty());
    }
    CHECK(parse_sut_order("restart", "alpha now").error().message == "restart: unknown word 'now': expected --now");
}
