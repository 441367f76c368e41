// What is accepted keeps the promises of its types and survives another trip.

#include "conf/agent_conf.hpp"
#include "core/ids.hpp"
#include "core/topics.hpp"

#include "fuzz.hpp"

using namespace sutfleet;

void fuzz(std::string_view text) {
    const auto conf = decode_agent_conf(text);
    if (!conf) return must(!conf.error().message.empty());
    must(decode_agent_conf(encode_agent_conf(*conf)) == *conf);
    must(!conf->rules.command || !conf->rules.command->argv.empty());
    for (const auto& [phase, command] : conf->rules.phases) must(!command.argv.empty());
    for (const auto& step : conf->rules.household.init) must(!step.run.argv.empty() && is_item_name(step.name));
    for (const auto& probe : conf->rules.household.probes) must(is_item_name(probe.name) && !is_own_level(probe.name));
}
