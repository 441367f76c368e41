#include "conf/agent_conf.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto conf = decode_agent_conf(as_text(data, size));
    if (!conf) return 0;
    const auto again = decode_agent_conf(encode_agent_conf(*conf));
    must(again.has_value());
    must(*again == *conf);
    return 0;
}
