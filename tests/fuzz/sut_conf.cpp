// A conf is accepted whole or refused with at least one error; what an agent runs by must survive its way there.

#include "conf/agent_conf.hpp"
#include "conf/sut_conf_origins.hpp"
#include "conf/sut_conf_yaml.hpp"
#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    static const auto name = *SutName::parse("alpha");
    const auto conf = decode_sut_conf(name, text);
    const auto keys = conf_keys(name, text);
    must(keys.size() < 2100 && (!conf || !keys.empty()));
    for (const auto& key : keys) must(key.key.size() <= 200 && key.value.size() <= 200 && key.value.find('\n') == std::string::npos);
    if (!conf) {
        must(!conf.error().empty() && conf.error().size() <= k_conf_errors);
        for (const auto& error : conf.error()) must(error.line > 0 && error.column > 0 && !error.message.empty());
        return;
    }
    const AgentConf sent{name, "s", "mqtt://b:1", "", "0", conf->agent};
    must(decode_agent_conf(encode_agent_conf(sent)) == sent);
    // No program gets to see what follows a NUL.
    for (const auto& [key, value] : conf->agent.env) must((key + value).find('\0') == std::string::npos);
    for (const auto& [phase, command] : conf->agent.phases)
        for (const auto& word : command.argv) must(word.find('\0') == std::string::npos);
}
