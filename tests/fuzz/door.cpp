// What comes to the broker's door: no name, id or topic gives an agent a right over what is not below its own name, and no
// line of a file does harm.

#include "door.hpp"

#include "auth/broker_password.hpp"
#include "fuzz.hpp"

using namespace sutfleet;
using broker::AccessRules;

namespace {

constexpr const char* k_agents =
    "pattern write %u/agent\npattern write %u/job/+\npattern write %u/metrics/+\npattern read %u/submit\npattern read %u/cmd/+\n"
    "user alpha\ntopic write alpha/c3\n";

AccessRules rules_of(std::string_view text) {
    AccessRules out;
    out.add(text, [](int line, const char* expected) { must(line > 0 && expected != nullptr); });
    return out;
}

}  // namespace

void fuzz(std::string_view text) {
    static const auto rules = rules_of(k_agents);
    const auto end = std::min(text.find('\n'), text.size());
    const auto user = text.substr(0, end), topic = text.substr(std::min(end + 1, text.size()));
    const auto below = std::string(user) + "/";
    for (const auto access : {AccessRules::Access::read, AccessRules::Access::write})
        if (rules.may(user, topic, access)) must(!user.empty() && topic.starts_with(below));
    must(!rules.may(user, below + "submit", AccessRules::Access::write));
    must(!rules.may(user, topic, AccessRules::Access::both));
    if (broker::may_have_id(topic, user, true)) must(topic == "sutfleet/" + std::string(user));
    if (broker::may_have_id(topic, user, true)) must(!broker::may_have_id(topic, user, false));
    (void)rules_of(text).may(user, topic, AccessRules::Access::write);
    (void)auth::password_is(user, topic);
}
