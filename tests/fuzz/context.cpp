// A context is accepted whole or refused with at least one error; what is accepted stays in its folders. What an engine
// says while it makes an image is lines, whatever it sends, in whatever pieces.

#include <algorithm>
#include <functional>

#include "conf/context_yaml.hpp"
#include "fuzz.hpp"
#include "image_answers.hpp"

using namespace sutfleet;

namespace {

std::string lines_of(std::string_view text, std::size_t piece) {
    std::string out;
    const std::function<void(std::string_view)> said = [&](std::string_view line) {
        must(!line.empty());
        out.append(line).push_back('\n');
    };
    docker::ImageAnswers answers(said);
    for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) answers.take(text.substr(0, piece));
    return out + answers.finish();
}

}  // namespace

void fuzz(std::string_view text) {
    must(lines_of(text, 7) == lines_of(text, 1'000'000));
    const auto context = decode_context(text);
    if (!context) {
        must(!context.error().empty() && context.error().size() <= k_conf_errors);
        for (const auto& error : context.error()) must(error.line > 0 && error.column > 0 && !error.message.empty());
        return;
    }
    must(!context->image.empty() && with_tag(context->image) == context->image);
    if (context->archive) must(stays_beneath(context->archive->file) && context->archive->sha256.size() == 64);
    if (context->build) must(stays_beneath(context->build->dockerfile));
}
