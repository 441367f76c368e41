#include "image_answers.hpp"

#include <nlohmann/json.hpp>

#include "core/json_guard.hpp"

namespace sutfleet::docker {
namespace {

std::string text_at(const nlohmann::json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

void ImageAnswers::take(std::string_view bytes) {
    for (auto end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
        rest_ += bytes.substr(0, end);
        bytes.remove_prefix(end + 1);
        object(rest_);
        rest_.clear();
    }
    if (rest_.size() + bytes.size() <= k_image_line_limit) rest_ += bytes;
}

std::string ImageAnswers::finish() {
    object(rest_);
    rest_.clear();
    if (!line_.empty()) said_(line_);
    line_.clear();
    return error_;
}

void ImageAnswers::object(std::string_view text) {
    if (text.empty() || too_deep(text)) return;
    const auto object = nlohmann::json::parse(text, nullptr, false);
    if (!object.is_object()) return;
    if (auto error = text_at(object, "error"); !error.empty()) error_ = std::move(error);
    // Of a refusal: an answer of its own, with a status.
    if (auto message = text_at(object, "message"); !message.empty()) error_ = std::move(message);
    output(text_at(object, "stream"));
    // The steps of a download; how far each is, is no news.
    const auto status = text_at(object, "status"), id = text_at(object, "id");
    if (!status.empty() && text_at(object, "progress").empty()) said_(id.empty() ? status : id + ": " + status);
}

void ImageAnswers::output(std::string_view text) {
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        line_ += text.substr(0, end);
        text.remove_prefix(end + 1);
        if (!line_.empty()) said_(line_);
        line_.clear();
    }
    if (line_.size() + text.size() <= k_image_line_limit) line_ += text;
}

}  // namespace sutfleet::docker
