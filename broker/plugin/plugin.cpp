// The plugin of Mosquitto: one Door for each listener that names it. Its options, in mosquitto.conf:
//   plugin_opt_passwords FILE...    plugin_opt_access FILE...
//   plugin_opt_programs true        a listener for the programs of the stack
// All is called on the broker's one thread. Files are looked at whenever somebody comes; broker/ask.sh comes when they change.

#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <mqtt_protocol.h>

#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "core/submitter.hpp"
#include "door.hpp"

namespace {

using sutfleet::broker::AccessRules;
using sutfleet::broker::Door;
using sutfleet::broker::may_have_id;
using sutfleet::k_submitted_by_user;

constexpr std::string_view k_shared = "$share/";
constexpr std::string_view k_submit = "/submit";  // of a SUT, and of a queue

/// What the listeners with the same files have in common.
struct House {
    Door door;
    std::set<std::string, std::less<>> leaving;  ///< users whose connections are still to be ended
};

/// All of them, by their files.
std::map<std::pair<std::string, std::string>, std::shared_ptr<House>>& houses() {
    static std::map<std::pair<std::string, std::string>, std::shared_ptr<House>> all;
    return all;
}

struct Listener {
    std::shared_ptr<House> house;
    bool for_programs;
};

std::string_view text(const char* chars) { return chars == nullptr ? std::string_view() : std::string_view(chars); }

void warn(const std::string& message) { mosquitto_log_printf(MOSQ_LOG_WARNING, "%s", message.c_str()); }

/// No exception may reach the broker.
template <class Do>
int guarded(const Do& action) noexcept {
    try {
        return action();
    } catch (...) {
        return MOSQ_ERR_NOMEM;
    }
}

/// Ends the connections of those who must leave, but for the user who is just coming in: his must not be ended while it is made.
/// They wait for the next who comes.
void look_at_files(House& house, std::string_view coming) {
    for (auto& user : house.door.refresh()) house.leaving.insert(std::move(user));
    for (auto at = house.leaving.begin(); at != house.leaving.end();) {
        if (*at == coming) {
            ++at;
            continue;
        }
        mosquitto_kick_client_by_username(at->c_str(), false);
        at = house.leaving.erase(at);
    }
}

int on_login(int /*event*/, void* event_data, void* listener) {
    return guarded([&]() -> int {
        const auto& asked = *static_cast<mosquitto_evt_basic_auth*>(event_data);
        const auto& [house, for_programs] = *static_cast<Listener*>(listener);
        // By whichever door: one with TLS is asked nothing by broker/ask.sh.
        for (const auto& [files, each] : houses()) look_at_files(*each, text(asked.username));
        if (!may_have_id(text(mosquitto_client_id(asked.client)), text(asked.username), for_programs)) return MOSQ_ERR_AUTH;
        if (asked.username == nullptr) return MOSQ_ERR_PLUGIN_DEFER;  // allow_anonymous decides
        return house->door.knows(asked.username, text(asked.password)) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
    });
}

/// Asked for each message that is published, and for each one before it is given to a client; what a subscription names that
/// its client may not read is kept from it by that.
int on_access(int /*event*/, void* event_data, void* listener) {
    return guarded([&]() -> int {
        const auto& asked = *static_cast<mosquitto_evt_acl_check*>(event_data);
        const auto& [house, for_programs] = *static_cast<Listener*>(listener);
        // A member of a shared subscription would take from the others what it may not even read.
        if (asked.access == MOSQ_ACL_SUBSCRIBE && for_programs && text(asked.topic).starts_with(k_shared)) return MOSQ_ERR_ACL_DENIED;
        if (asked.access != MOSQ_ACL_READ && asked.access != MOSQ_ACL_WRITE) return MOSQ_ERR_SUCCESS;
        const auto wanted = asked.access == MOSQ_ACL_READ ? AccessRules::Access::read : AccessRules::Access::write;
        return house->door.may(text(mosquitto_client_username(asked.client)), text(asked.topic), wanted) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
    });
}

/// Who submits is told to who takes the submit. It goes behind what the client may have written there itself.
int on_message(int /*event*/, void* event_data, void* /*listener*/) {
    auto& message = *static_cast<mosquitto_evt_message*>(event_data);
    if (!text(message.topic).ends_with(k_submit)) return MOSQ_ERR_SUCCESS;
    const char* user = mosquitto_client_username(message.client);
    return mosquitto_property_add_string_pair(&message.properties, MQTT_PROP_USER_PROPERTY, k_submitted_by_user, user == nullptr ? "" : user);
}

std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), {}};
}

std::unique_ptr<Listener> listener_of(const mosquitto_opt* options, int count) {
    std::map<std::string, std::string> given;
    for (int i = 0; i < count; ++i) given[options[i].key] = options[i].value;
    auto& house = houses()[{given["passwords"], given["access"]}];
    if (!house) house = std::make_shared<House>(House{Door({words(given["passwords"]), words(given["access"])}, warn), {}});
    return std::make_unique<Listener>(Listener{house, given["programs"] == "true"});
}

}  // namespace

extern "C" {

int mosquitto_plugin_version(int count, const int* versions) {
    for (int i = 0; i < count; ++i)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t* identifier, void** user_data, mosquitto_opt* options, int count) {
    return guarded([&]() -> int {
        auto listener = listener_of(options, count);
        using Handler = std::pair<int, MOSQ_FUNC_generic_callback>;
        for (const auto& [event, callback] : {Handler{MOSQ_EVT_BASIC_AUTH, on_login}, {MOSQ_EVT_ACL_CHECK, on_access}, {MOSQ_EVT_MESSAGE, on_message}})
            if (const int failed = mosquitto_callback_register(identifier, event, callback, nullptr, listener.get())) return failed;
        *user_data = listener.release();
        return MOSQ_ERR_SUCCESS;
    });
}

int mosquitto_plugin_cleanup(void* user_data, mosquitto_opt* /*options*/, int /*count*/) {
    delete static_cast<Listener*>(user_data);
    return MOSQ_ERR_SUCCESS;
}
}
