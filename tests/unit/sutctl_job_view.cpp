#include <doctest/doctest.h>

#include "job_view.hpp"
#include "output_printer.hpp"

using namespace sutfleet::ctl;

namespace {

JobView view(std::string_view state, std::string_view exit = "null") {
    return *parse_job(R"({"id":"j1","state":")" + std::string(state) + R"(","exit":)" +
                      std::string(exit) + "}");
}

}  // namespace

TEST_CASE("sutctl: the exit code of submit --wait") {
    CHECK(view("SUCCEEDED", "0").exit_code() == 0);
    CHECK(view("FAILED", "7").exit_code() == 7);
    CHECK(view("FAILED", "143").exit_code() == 143);
    CHECK(view("FAILED").exit_code() == 1);
    CHECK(view("FAILED", "0").exit_code() == 1);
    CHECK(view("TIMED_OUT", "143").exit_code() == 124);
    CHECK(view("REJECTED").exit_code() == 4);
    CHECK(view("EXPIRED").exit_code() == 4);
    CHECK(view("LOST").exit_code() == 1);
    CHECK_FALSE(view("RUNNING").ended());
    CHECK(view("LOST").ended());
}

TEST_CASE("sutctl: what is not a record is none") {
    for (const auto* text : {"", "[]", "{}", "{\"id\":1,\"state\":\"x\"}", "{\"id\":\"a\"", "\xff"})
        CHECK_FALSE(parse_job(text));
}

TEST_CASE("sutctl: a record of any form is shown without control characters") {
    CHECK(describe_job("{\"id\":\"j\",\"x\":{\"y\":[1]},\"z\":\"a\\u001b[2J\",\"n\":null}") ==
          "id: j\nx.y: [1]\nz: a [2J\nn: -\n");
}

TEST_CASE("sutctl: output is put together once and in order") {
    OutputStream stream;
    CHECK(stream.take(0, "one\ntwo").text == "one\ntwo\n");
    CHECK(stream.take(8, "three").text == "three\n");
    CHECK(stream.take(0, "one\ntwo").text.empty());         // sent again after a reconnect
    CHECK(stream.take(8, "three\nfour").text == "four\n");  // sent again, with more
    const auto piece = stream.take(30, "x");
    CHECK(piece.text == "x\n");
    CHECK(piece.missed == 11);
    CHECK(stream.complete(32));
    CHECK_FALSE(stream.complete(33));
}

TEST_CASE("sutctl: empty lines are neither lost nor doubled") {
    OutputStream stream;
    CHECK(stream.take(0, "a").text == "a\n");  // "a\n"
    CHECK(stream.take(2, "\n").text == "\n");  // "\n\n": the last newline is never sent
    CHECK(stream.take(4, "b").text == "\nb\n");
    OutputStream lone;
    CHECK(lone.take(0, "\n").text == "\n");  // "\n" alone keeps it
    CHECK(lone.take(1, "b").text == "b\n");
}

TEST_CASE("sutctl: output that says how many bytes it stands for is put together to the byte") {
    OutputStream stream;
    CHECK(stream.take_exact(5, "one\n").text == "one\n");
    CHECK(stream.take_exact(9, "prompt> ").text == "prompt> ");
    CHECK(stream.take_exact(9, "prompt> ").text.empty());  // sent again after a reconnect
    CHECK(stream.take_exact(12, "mpt> yes\n").text == "yes\n");
    CHECK(stream.take_exact(5, "o").text.empty());
    const auto piece = stream.take_exact(30, "\n");
    CHECK(piece.text == "\n");
    CHECK(piece.missed == 9);
    CHECK(stream.end() == 31);
}

TEST_CASE("sutctl: output without offsets is printed as it comes") {
    OutputStream stream;
    CHECK(stream.take({}, "a").text == "a\n");
    CHECK(stream.take({}, "a").text == "a\n");
    CHECK(stream.complete(0));
}

TEST_CASE("sutctl: the last lines of a text") {
    CHECK(last_lines("a\nb\nc\n", 2) == "b\nc\n");
    CHECK(last_lines("a\nb\nc\n", 9) == "a\nb\nc\n");
    CHECK(last_lines("a\n", 0).empty());
    CHECK(last_lines("\n", 1) == "\n");
    CHECK(last_lines("", 1).empty());
}
