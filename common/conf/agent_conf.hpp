#pragma once
// The JSON that the supervisor delivers to an agent (`/sut/.current/agent.json`): who it is, where its broker
// is, and the rules that it runs by. Encoder and decoder, so that the two ends cannot differ. Threads: any.

#include <map>
#include <string>
#include <string_view>

#include "core/ids.hpp"
#include "core/result.hpp"
#include "core/sut_conf.hpp"

namespace sutfleet {

struct AgentConf {
    SutName sut;
    std::string stack;
    std::string broker;        ///< URL as the agent reaches it: mqtt://broker:1884
    std::string topic_prefix;  ///< empty or ending with '/'
    std::string build;         ///< of our programs
    AgentRules rules;
    bool operator==(const AgentConf&) const = default;
};

[[nodiscard]] std::string encode_agent_conf(const AgentConf& conf);
/// @return invalid_input that names the key.
Result<AgentConf> decode_agent_conf(std::string_view json);

}  // namespace sutfleet
