#include "docker/docker_json.hpp"
#include "fuzz.hpp"

using namespace sutfleet::docker;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = as_text(data, size);
    (void)decode_version(text);
    (void)decode_list(text);
    (void)decode_container(text);
    (void)decode_cpus(text);
    (void)decode_image_user(text);
    (void)decode_exec(text);
    (void)text_member(text, "message");
    must(unframe(text).size() <= size);
    return 0;
}
