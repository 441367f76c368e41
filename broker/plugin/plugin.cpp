// The plugin of Mosquitto: one Door for each listener that names it. Its options, in mosquitto.conf:
//   plugin_opt_passwords FILE...    plugin_opt_access FILE...
//   plugin_opt_programs true        a listener for the programs of the stack
// All is called on the broker's one thread.

// clang-format off
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
// clang-format on

#include <chrono>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "door.hpp"

namespace {

using sutfleet::broker::AccessRules;
using sutfleet::broker::Door;
using sutfleet::broker::may_have_id;
using Clock = std::chrono::steady_clock;

/// The broker's loop turns at least ten times a second.
constexpr auto k_look_every = std::chrono::milliseconds{200};

struct Listener {
    Door door;
    bool for_programs;
    Clock::time_point next_look;
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

int on_login(int /*event*/, void* event_data, void* listener) {
    return guarded([&]() -> int {
        const auto& asked = *static_cast<mosquitto_evt_basic_auth*>(event_data);
        const auto& [door, for_programs, unused] = *static_cast<Listener*>(listener);
        if (!may_have_id(text(mosquitto_client_id(asked.client)), text(asked.username), for_programs)) return MOSQ_ERR_AUTH;
        if (asked.username == nullptr) return MOSQ_ERR_PLUGIN_DEFER;  // allow_anonymous decides
        return door.knows(asked.username, text(asked.password)) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
    });
}

/// Asked for each message that is published, and for each one before it is given to a client; what a subscription names that
/// its client may not read is kept from it by that.
int on_access(int /*event*/, void* event_data, void* listener) {
    return guarded([&]() -> int {
        const auto& asked = *static_cast<mosquitto_evt_acl_check*>(event_data);
        if (asked.access != MOSQ_ACL_READ && asked.access != MOSQ_ACL_WRITE) return MOSQ_ERR_SUCCESS;
        const auto wanted = asked.access == MOSQ_ACL_READ ? AccessRules::Access::read : AccessRules::Access::write;
        const auto& rules = static_cast<Listener*>(listener)->door.rules();
        return rules.may(text(mosquitto_client_username(asked.client)), text(asked.topic), wanted) ? MOSQ_ERR_SUCCESS : MOSQ_ERR_ACL_DENIED;
    });
}

int on_tick(int /*event*/, void* /*event_data*/, void* listener) {
    return guarded([&]() -> int {
        auto& [door, unused, next_look] = *static_cast<Listener*>(listener);
        const auto now = Clock::now();
        if (now < next_look) return MOSQ_ERR_SUCCESS;
        next_look = now + k_look_every;
        for (const auto& user : door.refresh()) mosquitto_kick_client_by_username(user.c_str(), false);
        return MOSQ_ERR_SUCCESS;
    });
}

std::vector<std::string> words(const std::string& line) {
    std::istringstream in(line);
    return {std::istream_iterator<std::string>(in), {}};
}

std::unique_ptr<Listener> listener_of(const mosquitto_opt* options, int count) {
    Door::Files files;
    bool for_programs = false;
    for (int i = 0; i < count; ++i) {
        const std::string key = options[i].key, value = options[i].value;
        if (key == "passwords") files.passwords = words(value);
        if (key == "access") files.access = words(value);
        if (key == "programs") for_programs = value == "true";
    }
    return std::make_unique<Listener>(Listener{{std::move(files), warn}, for_programs, {}});
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
        for (const auto& [event, callback] : {Handler{MOSQ_EVT_BASIC_AUTH, on_login}, {MOSQ_EVT_ACL_CHECK, on_access}, {MOSQ_EVT_TICK, on_tick}})
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
