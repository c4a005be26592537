// SPDX-License-Identifier: MIT
/* Answers the requests of the control socket. */
#include "control.h"

#include "editing.h"
#include "listen.h"
#include "socket.h"
#include "tunnel.h"

#include "packs/json.h"
#include "config/keys.h"
#include "base/clock.h"

#include "bms/count.h"

#include <stdlib.h>
#include <string.h>

#define SAME_S 0.2          /* s for which a status is cached, for all clients */
#define COMMIT_AGAIN_S 10.0 /* s between two requests that make the history write */

struct control {
    const struct overview *overview;
    struct troubles *troubles;
    struct control_socket *socket;
    struct onlookers *listeners;
    struct tunnels *tunnels;
    struct editing *editing;
    char *status; /* the cached status; NULL: none */
    double status_at, commit_at;
};

/* ---- answers ---- */

static char *error_text(const char *format, const char *what)
{
    return json_text(json_pack("{s:o}", "error", json_sprintf(format, what)));
}

/* With many packs a status takes a while to build, so it is cached. The cache is dropped as soon
 * as a pack in it turns stale. */
static char *status_text(struct control *control)
{
    const double now = clock_now();
    bool good = control->status && now - control->status_at < SAME_S &&
                now < packs_next_stale(control->overview->packs);
    if (!good) {
        free(control->status);
        json_t *status = status_of(control->overview, control->troubles, now);
        json_object_set_new(status, "tunnels", tunnels_status(control->tunnels, now));
        json_t *own = listen_status(control->listeners);
        json_object_set_new(own, "clients", json_integer(control_clients(control->socket)));
        json_object_set_new(status, "control", own);
        control->status = json_text(status);
        control->status_at = now;
    }
    return control->status ? strdup(control->status) : NULL;
}

static char *configuration_text(struct control *control)
{
    return json_text(status_configuration(control->overview, clock_now()));
}

/* The outlet has authenticated the user: by a password, from an address in allow_write. */
static char *open_for_outlet(struct control *control, const char *from, const char *question)
{
    char name[NAME_SIZE], who[60], by[120], why[160];
    double for_s;
    if (sscanf(question, "tunnel %32s %lf %59s", name, &for_s, who) != 3)
        return NULL;
    snprintf(by, sizeof by, "%s %s", from, who);
    json_t *tunnel = for_s > 0 ? tunnels_open(control->tunnels, name, for_s, by, why, sizeof why)
                               : tunnels_close(control->tunnels, name, by, why, sizeof why);
    control->status_at = -1;
    return tunnel ? json_text(tunnel) : error_text("%s", why);
}

char *control_tell_outlet(void *data, const char *from, bool may_order, const char *question)
{
    if (strcmp(question, "status") == 0)
        return status_text(data);
    if (strcmp(question, "configuration") == 0)
        return configuration_text(data);
    return may_order && strcmp(from, "web") == 0 ? open_for_outlet(data, from, question) : NULL;
}

void control_asked(void *data, const struct pipe_heard *question)
{
    const struct control *control = data;
    if (strncmp(question->text, "setup ", 6) == 0 && strcmp(question->from, "web") == 0) {
        editing_ask(control->editing, question->text + 6, question->ticket);
        return;
    }
    char *text = control_tell_outlet(data, question->from, question->may_order, question->text);
    outlets_answer(control->overview->outlets, question->ticket, text);
    free(text);
}

/* ---- requests ---- */

typedef void ask_function(struct control *control, struct control_client *client,
                          const json_t *request);

static void ask_status(struct control *control, struct control_client *client,
                       const json_t *request)
{
    control_answer(client, status_text(control));
}

static void ask_configuration(struct control *control, struct control_client *client,
                              const json_t *request)
{
    control_answer(client, configuration_text(control));
}

static void ask_values(struct control *control, struct control_client *client,
                       const json_t *request)
{
    const json_t *names = json_object_get(request, "packs");
    const char *missing = "";
    if (names && !json_is_array(names)) {
        control_answer(client, error_text("'%s' must be a list of names", "packs"));
        return;
    }
    json_t *values =
        status_values(control->overview, control->troubles, names, clock_now(), &missing);
    const struct config_file *file = control->overview->file;
    if (values)
        control_answer(client, json_text(json_pack("{s:s?, s:o}", "configuration",
                                                   file ? file->path : NULL, "packs", values)));
    else
        control_answer(client, missing[0] ? error_text("there is no pack '%s'", missing) : NULL);
}

/* Any answer means that the gateway is healthy. */
static void ask_health(struct control *control, struct control_client *client,
                       const json_t *request)
{
    char words[STATUS_WORDS];
    status_words(control->overview, clock_now(), words);
    control_answer(client, json_text(json_pack("{s:b, s:s}", "healthy", 1, "status", words)));
}

/* Returns how often the history has written so far. Without `since`, first asks it to write now,
 * unless that was done just before. */
static void ask_commit(struct control *control, struct control_client *client,
                       const json_t *request)
{
    const struct outlets *outlets = control->overview->outlets;
    const double now = clock_now();
    struct outlet_state state;
    json_int_t written = 0;
    for (unsigned n = 0; outlets && outlets_state(outlets, n, &state); n++)
        if (state.stores)
            written = state.published;
    bool asked = false;
    if (outlets && !json_object_get(request, "since") && now - control->commit_at > COMMIT_AGAIN_S)
        asked = outlets_commit(outlets);
    if (asked)
        control->commit_at = now;
    control_answer(client, json_text(json_pack("{s:I, s:b}", "written", written, "asked", asked)));
}

static void ask_listen(struct control *control, struct control_client *client,
                       const json_t *request)
{
    char why[160];
    const char *line = json_string_value(json_object_get(request, "line"));
    if (!listen_begin(control->listeners, client, line ? line : "", why, sizeof why))
        control_answer(client, error_text("%s", why));
}

static void ask_send(struct control *control, struct control_client *client, const json_t *request)
{
    char why[160];
    const char *line = json_string_value(json_object_get(request, "line"));
    const char *bytes = json_string_value(json_object_get(request, "bytes"));
    if (!listen_send(control->listeners, client, line ? line : "", bytes ? bytes : "", why,
                     sizeof why))
        control_answer(client, error_text("%s", why));
}

static void ask_tunnel(struct control *control, struct control_client *client,
                       const json_t *request)
{
    char why[160], by[60];
    const struct control_peer *peer = control_peer(client);
    const char *name = json_string_value(json_object_get(request, "tunnel"));
    const json_t *seconds = json_object_get(request, "for_s");
    const double for_s = json_number_value(seconds);
    if (!json_is_number(seconds) || for_s < 0) {
        control_answer(
            client, error_text("'%s' must be a number of seconds, 0 to close the tunnel", "for_s"));
        return;
    }
    snprintf(by, sizeof by, "user %u (process %d)", (unsigned) peer->uid, (int) peer->pid);
    name = name ? name : "";
    json_t *tunnel = for_s > 0 ? tunnels_open(control->tunnels, name, for_s, by, why, sizeof why)
                               : tunnels_close(control->tunnels, name, by, why, sizeof why);
    control->status_at = -1;
    control_answer(client, tunnel ? json_text(tunnel) : error_text("%s", why));
}

static void ask_setup(struct control *control, struct control_client *client, const json_t *request)
{
    char why[160];
    json_t *armed = editing_arm(control->editing, why, sizeof why);
    control_answer(client, armed ? json_text(armed) : error_text("%s", why));
}

static const struct {
    const char *name;
    ask_function *ask;
    bool acts; /* not read-only: needs the right to act */
} requests[] = {
    {"status", ask_status, false},
    {"values", ask_values, false},
    {"configuration", ask_configuration, false},
    {"health", ask_health, false},
    {"commit", ask_commit, false},
    {"listen", ask_listen, false},
    {"send", ask_send, true},
    {"tunnel", ask_tunnel, true},
    {"setup", ask_setup, true},
};

static void on_asked(void *data, struct control_client *client, char *line, size_t size)
{
    json_error_t error;
    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    const char *what = json_string_value(json_object_get(request, "ask"));
    size_t i = 0;
    while (what && i < COUNT(requests) && strcmp(requests[i].name, what) != 0)
        i++;
    if (!request)
        control_answer(client, error_text("this is not JSON: %s", error.text));
    else if (!what)
        control_answer(client, error_text("expected an object such as %s", "{\"ask\":\"status\"}"));
    else if (i == COUNT(requests))
        control_answer(client, error_text("unknown request '%s'", what));
    else if (requests[i].acts && !control_peer(client)->may_act)
        control_answer(client, error_text("'%s' is for root and the user of the service only, "
                                          "not for processes that the service has started",
                                          what));
    else
        requests[i].ask(data, client, request);
    json_decref(request);
}

static void on_left(void *data, struct control_client *client)
{
    listen_left(((struct control *) data)->listeners, client);
}

/* ---- start, reload and end ---- */

static const struct control_events events = {.asked = on_asked, .left = on_left};

struct control *control_new(struct ev_loop *loop, const struct overview *overview,
                            struct packs *packs)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return NULL;
    control->overview = overview;
    control->commit_at = -COMMIT_AGAIN_S;
    control->troubles = troubles_new(packs, clock_now());
    control->socket = control_socket_new(loop, &events, control);
    control->listeners = listen_new(overview);
    control->tunnels = tunnels_new(loop, overview);
    control->editing = editing_new(loop, overview);
    if (!control->troubles || !control->socket || !control->listeners || !control->tunnels ||
        !control->editing) {
        control_free(control);
        return NULL;
    }
    control_renew(control);
    return control;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    control_socket_free(control->socket);
    listen_free(control->listeners);
    tunnels_free(control->tunnels);
    editing_free(control->editing);
    troubles_free(control->troubles);
    free(control->status);
    free(control);
}

void control_renew(struct control *control)
{
    control->status_at = -1;
    listen_renew(control->listeners);
    tunnels_renew(control->tunnels);
    const struct config *config = packs_config(control->overview->packs);
    const struct config_entry *entry =
        config_entry_find(config, &gateway_section, "", "control", 0);
    control_socket_open(control->socket, config->gateway.control, entry && entry->line > 0);
}
