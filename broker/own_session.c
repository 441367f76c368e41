// A plugin of Mosquitto: nobody takes over another user's session. A client id that begins with "sutfleet/" goes on with
// its user's name, and whoever comes with such an id must be that user. The stack's programs have the ids "sutfleet/<user>",
// and people who want a session that nobody else can end have "sutfleet/<user>/…". Without this any user could come with
// an agent's client id: the broker ends that agent's connection and discards what waits in its session.
// With `plugin_opt_programs true` a listener takes "sutfleet/<user>" only, one session for each program; without it never.
// It is asked before the password is looked at, on the broker's one thread; it refuses, or leaves it to the password file.
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <string.h>

static const char k_prefix[] = "sutfleet/";
static bool k_yes = true, k_no = false;

static bool is_own(const char *owner, const char *user, bool program) {
    const size_t length = strlen(user);
    if (strncmp(owner, user, length) != 0) return false;
    return owner[length] == (program ? '\0' : '/');  // never both: a SUT may have the name of a person's user
}

static int check(int event, void *event_data, void *programs_only) {
    const struct mosquitto_evt_basic_auth *asked = event_data;
    const bool program = *(const bool *)programs_only;
    const char *id = mosquitto_client_id(asked->client);
    const size_t prefix = strlen(k_prefix);
    (void)event;
    if (id == NULL || strncmp(id, k_prefix, prefix) != 0) return program ? MOSQ_ERR_AUTH : MOSQ_ERR_PLUGIN_DEFER;
    return asked->username != NULL && is_own(id + prefix, asked->username, program) ? MOSQ_ERR_PLUGIN_DEFER : MOSQ_ERR_AUTH;
}

int mosquitto_plugin_version(int count, const int *versions) {
    for (int i = 0; i < count; ++i)
        if (versions[i] == MOSQ_PLUGIN_VERSION) return MOSQ_PLUGIN_VERSION;
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **user_data, struct mosquitto_opt *options, int count) {
    bool *programs_only = &k_no;
    for (int i = 0; i < count; ++i)
        if (strcmp(options[i].key, "programs") == 0 && strcmp(options[i].value, "true") == 0) programs_only = &k_yes;
    (void)user_data;
    return mosquitto_callback_register(identifier, MOSQ_EVT_BASIC_AUTH, check, NULL, programs_only);
}

int mosquitto_plugin_cleanup(void *user_data, struct mosquitto_opt *options, int count) {
    (void)user_data, (void)options, (void)count;
    return MOSQ_ERR_SUCCESS;
}
