#include "sut_order.hpp"

#include <algorithm>
#include <vector>

namespace sutfleet {
namespace {

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> out;
    for (auto at = text.find_first_not_of(' '); at != std::string_view::npos; at = text.find_first_not_of(' ')) {
        text.remove_prefix(at);
        const auto word = text.substr(0, text.find(' '));
        out.push_back(word);
        text.remove_prefix(word.size());
    }
    return out;
}

}  // namespace

Result<SutOrder> parse_sut_order(std::string_view verb, std::string_view argument) {
    const auto words = words_of(argument);
    auto sut = SutName::parse(words.empty() ? argument : words.front());
    if (!sut) return fail(sut.error());
    SutOrder out{*std::move(sut)};
    for (auto word = words.begin() + 1; word < words.end(); ++word) {
        if (*word == "--purge" && verb == "reset")
            out.purge = true;
        else if (*word == "--now" && (verb == "restart" || verb == "reset"))
            out.now = true;
        else
            return fail(ErrorKind::invalid_input, std::string(verb) + ": unknown word '" + std::string(word->substr(0, 40)) + "': expected " +
                                                      (verb == "restart" ? "--now" : verb == "reset" ? "--purge or --now" : "a name only"));
    }
    if (verb == "reset" && out.now && !out.purge)
        return fail(ErrorKind::invalid_input, "reset: --now goes with --purge only: a release waits for nothing");
    return out;
}

}  // namespace sutfleet
