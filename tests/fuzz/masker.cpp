// A secret that comes in pieces is as hidden as one that comes whole.

#include "masker.hpp"

#include "fuzz.hpp"

using namespace sutfleet::agent;

void fuzz(std::string_view text) {
    if (text.size() < 4) return;
    // The first bytes say where it is cut; the rest is output with secrets in it.
    const auto step = 1 + static_cast<unsigned char>(text[0]) % 9U;
    text.remove_prefix(1);
    const auto secrets = std::make_shared<const Secrets>(std::vector<std::string>{"token", "tokentoken", "abab", "line one\nline two", std::string(text.substr(0, 3)) + "x"});
    Masker whole(secrets), pieces(secrets);
    auto expected = whole.pass(text);
    expected += whole.end();
    std::string got;
    for (std::size_t at = 0; at < text.size(); at += step) got += pieces.pass(text.substr(at, step));
    got += pieces.end();
    must(got == expected);
    must(expected.find("token") == std::string::npos && expected.find("line one") == std::string::npos);
}
