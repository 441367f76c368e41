#include "conf/agent_conf.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const SutName k_name = *SutName::parse("alpha");
    const auto conf = decode_sut_conf(k_name, as_text(data, size));
    if (!conf) {
        must(!conf.error().empty());
        for (const auto& error : conf.error()) must(!to_string("alpha.conf", error).empty());
        return 0;
    }
    AgentConf agent{k_name, {}, {}, {}, {}, conf->agent};
    const auto again = decode_agent_conf(encode_agent_conf(agent));
    must(again.has_value());
    must(again->rules == agent.rules);
    return 0;
}
