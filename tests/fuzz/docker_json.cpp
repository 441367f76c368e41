// The engine's answers: any bytes become a value or an error, and a value fits what the supervisor takes for granted.

#include "docker_json.hpp"

#include "fuzz.hpp"

using namespace sutfleet::docker;

void fuzz(std::string_view text) {
    if (const auto version = decode_version(text)) must(version->version == text_member(text, "Version"));
    if (const auto list = decode_list(text))
        for (const auto& [id, name] : *list) must(id.size() + name.size() <= text.size());
    if (const auto list = decode_summaries(text))
        for (const auto& one : *list) must(!one.id.empty() && one.summary && one.id.size() + one.sut.size() <= text.size());
    (void)decode_event(text);
    if (const auto found = decode_container(text)) {
        must(found->id == text_member(text, "Id"));
        must(found->health_log.size() <= 500 && found->health_log.find('\n') == std::string::npos);
    }
    (void)decode_cpus(text);
    (void)decode_exec(text);
    if (const auto user = decode_image_user(text)) must(user->size() <= text.size());
    must(unframe(text).size() <= text.size());
    // A text in one whole frame comes out as it went in, whatever it looks like.
    std::string framed{1, 0, 0, 0, 0, 0, static_cast<char>(text.size() >> 8 & 255), static_cast<char>(text.size() & 255)};
    if (text.size() < 65536) must(unframe(framed.append(text)) == text);
}
