// `cmd/tail` and where a log is rotated, as tables.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "core/base64.hpp"
#include "log_file.hpp"
#include "tail.hpp"

using namespace sutfleet;
using namespace sutfleet::agent;

TEST_CASE("tail: what may be asked for") {
    const auto job = [](const char* id) { return *JobId::parse(id); };
    struct Row {
        const char* payload;
        TailRequest wanted;
    };
    const Row rows[] = {
        {"", {}},
        {" \r\n", {}},
        {"agent", {}},
        {"agent 0", {{}, 0, k_tail_bytes, false}},
        {"agent 5 100", {{}, 5, 100, false}},
        {"agent -100", {{}, {}, 100, false}},
        {"agent 0 99999999999", {{}, 0, k_tail_limit, false}},
        {"j1\n", {job("j1"), {}, k_tail_bytes, false}},
        {"{}", {}},
        {R"({"log":"agent","offset":18446744073709551615})", {{}, 18446744073709551615U, k_tail_bytes, false}},
        {R"({"log":"j1","last":7,"transaction":{"a":1}})", {job("j1"), {}, 7, false}},
        {R"({"job":"agent","bytes":0})", {job("agent"), {}, 0, false}},
        {R"({"argument":"j1 3","transaction":"t"})", {job("j1"), 3, k_tail_bytes, false}},
        {R"({"argument":{"job":"j1","encoding":"base64"}})", {job("j1"), {}, k_tail_bytes, true}},
        {R"({"argument":"{\"job\":\"j1\",\"offset\":1}"})", {job("j1"), 1, k_tail_bytes, false}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.payload);
        const auto got = decode_tail(row.payload);
        REQUIRE(got);
        CHECK(*got == row.wanted);
    }
}

TEST_CASE("tail: paths and what else is no log are refused, and the message says what was expected") {
    for (const auto* bad : {"/etc/passwd", "../journal", "j1/../../x", "agent.log", ".", "agent x", "agent 1 2 3", "agent 1 x", "agent -5 5", "agent -x",
                            R"({"log":"../x"})", R"({"job":"/etc"})", R"({"job":1})", R"({"log":null})", R"({"offset":-1})", R"({"offset":"1"})",
                            R"({"offset":1.5})", R"({"bytes":1e99})", R"({"last":1,"offset":2})", R"({"encoding":"rot13"})", R"({"path":"/etc/passwd"})",
                            R"({"argument":"j1","log":"j2"})", R"({"argument":7})", R"({"argument":"{"})", "{", "{\"log\":"}) {
        CAPTURE(bad);
        const auto got = decode_tail(bad);
        REQUIRE_FALSE(got);
        CHECK(got.error().kind == ErrorKind::invalid_input);
    }
    CHECK(decode_tail("/etc/passwd").error().message == "'/etc/passwd': expected agent or the id of a job");
    CHECK_FALSE(decode_tail("{\"log\":" + std::string(100'000, '[')));
}

TEST_CASE("tail: pieces of text put together are the text, wherever they are cut; what is no UTF-8 is replaced") {
    const auto piece = [](const std::string& bytes, std::uint64_t offset, std::uint64_t end, bool from_offset) {
        TailRequest request;
        if (from_offset) request.offset = offset;
        return nlohmann::json::parse(encode_tail({bytes, offset, end}, request, "b"));
    };
    const std::string text = "aä€😀z";
    for (std::size_t step = 4; step <= text.size(); ++step) {
        std::string all;
        for (std::size_t at = 0; at < text.size();) {
            const auto part = piece(text.substr(at, step), at, text.size(), true);
            CHECK(part["offset"] == at);
            at += part["bytes"].get<std::size_t>();
            all += part["text"].get<std::string>();
        }
        CHECK(all == text);
    }
    const auto last = piece(text.substr(5), 5, text.size(), false);  // in the middle of the euro sign
    CHECK(last["offset"] == 6);
    CHECK(last["text"] == "😀z");
    CHECK(piece(std::string("a\0\xff\xfe" "b\x1b[m\r", 9), 0, 9, true)["text"] == std::string("a\0\xef\xbf\xbd\xef\xbf\xbd" "b\x1b[m\r", 13));
    CHECK(piece("\xe2\x82", 0, 2, true)["bytes"] == 2);  // the end of the log: no more will come
    CHECK(piece("\xe2", 0, 9, true)["bytes"] == 1);      // a piece of nothing would be asked for for ever
    TailRequest exact;
    exact.exact = true;
    const auto coded = nlohmann::json::parse(encode_tail({std::string("\0\xff\n", 3), 0, 3}, exact, "b"));
    CHECK(coded["base64"] == "AP8K");
    CHECK_FALSE(coded.contains("text"));
}

TEST_CASE("base64: any bytes and back; what no encoder makes is refused") {
    std::string bytes;
    for (int i = 0; i < 600; ++i) {
        CHECK(decode_base64(encode_base64(bytes)) == bytes);
        bytes += static_cast<char>(i * 37);
    }
    CHECK(encode_base64("foobar") == "Zm9vYmFy");
    CHECK(encode_base64("foob") == "Zm9vYg==");
    for (const auto* bad : {"a", "abc", "====", "a===", "Zm9vYh==", "Zm9=Zm9v", "Zm 9", "Zm9v\n", "Zm8_"}) CHECK_FALSE(decode_base64(bad));
}

TEST_CASE("a log is rotated between lines; one that fits no file stays whole") {
    const std::string_view lines = "aaaa\nbbbb\ncccc\n";
    CHECK(bytes_before_rotation(0, '\n', lines, 0) == 15);       // never rotated
    CHECK(bytes_before_rotation(0, '\n', lines, 15) == 15);      // all of it fits
    CHECK(bytes_before_rotation(0, '\n', lines, 14) == 10);      // as many lines as fit
    CHECK(bytes_before_rotation(4, '\n', lines, 10) == 5);
    CHECK(bytes_before_rotation(8, '\n', lines, 10) == 0);       // none fits, and a line has ended: rotate
    CHECK(bytes_before_rotation(8, 'x', lines, 10) == 5);        // the end of the line at hand first
    CHECK(bytes_before_rotation(0, '\n', lines, 2) == 5);        // an empty file takes a line of any length
    CHECK(bytes_before_rotation(10, 'x', "yyyy", 10) == 4);
    // A progress bar without newlines: in twice the size, a carriage return is an end.
    CHECK(bytes_before_rotation(12, 'x', "y\ry\ryyyy", 10) == 8);
    CHECK(bytes_before_rotation(18, 'x', "y\ry\ryyyy", 10) == 2);
    CHECK(bytes_before_rotation(20, '\r', "yy", 10) == 0);
    CHECK(bytes_before_rotation(15, '\r', "yy", 10) == 2);
    // And something that never ends a line at all must not fill the disk.
    CHECK(bytes_before_rotation(k_longest_line + 9, 'x', "yyyy", 10) == 1);
    CHECK(bytes_before_rotation(k_longest_line + 10, 'x', "yyyy", 10) == 0);
}
