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

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAME_S 0.2          /* s for which a status is cached, for all clients */
#define COMMIT_AGAIN_S 10.0 /* s between two requests that make the history write */

struct control {
    const struct overview *overview;
    struct control_socket *socket;
    struct onlookers *listeners;
    struct tunnels *tunnels;
    struct editing *editing;
    char *status; /* the cached status; NULL: none */
    double status_at, commit_at;
};

/* With many packs a status takes a while to build, so it is cached. The cache is dropped as soon
 * as a pack in it turns stale. */
static char *status_text(struct control *control)
{
    const double now = clock_now();
    bool good = control->status && now - control->status_at < SAME_S &&
                now < packs_next_stale(control->overview->packs);
    if (!good) {
        free(control->status);
        json_t *status = status_of(control->overview, now);
        json_object_set_new(status, "tunnels", tunnels_status(control->tunnels, now));
        json_t *own = listen_status(control->listeners);
        json_object_set_new(own, "clients", json_integer(control_clients(control->socket)));
        json_object_set_new(status, "control", own);
        control->status = json_text(status);
        control->status_at = now;
    }
    return control->status ? strdup(control->status) : NULL;
}

static json_t *set_tunnel(struct control *control, const char *name, double for_s, const char *by)
{
    control->status_at = -1;
    return tunnels_set(control->tunnels, name, for_s, by);
}

char *control_tell_outlet(void *data, const char *from, bool may_order, const char *question)
{
    struct control *control = data;
    char name[NAME_SIZE], who[60], by[120];
    double for_s;
    if (strcmp(question, "status") == 0)
        return status_text(control);
    if (strcmp(question, "configuration") == 0)
        return json_text(status_configuration(control->overview, clock_now()));
    /* The outlet has authenticated the user: by a password, from an address in allow_write. */
    if (!may_order || strcmp(from, "web") != 0 ||
        sscanf(question, "tunnel %32s %lf %59s", name, &for_s, who) != 3)
        return NULL;
    snprintf(by, sizeof by, "%s %s", from, who);
    return json_text(set_tunnel(control, name, fmax(for_s, 0), by));
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

static const char *text_of(const json_t *request, const char *name)
{
    const char *text = json_string_value(json_object_get(request, name));
    return text ? text : "";
}

static json_t *answer_values(const struct control *control, const json_t *request)
{
    const json_t *names = json_object_get(request, "packs");
    const struct config_file *file = control->overview->file;
    const char *missing;
    if (names && !json_is_array(names))
        return json_refusal("'packs' must be a list of names");
    json_t *values = status_values(control->overview, names, clock_now(), &missing);
    if (!values)
        return json_refusal("there is no pack '%s'", missing);
    /* NULL: none, or it is not UTF-8. */
    json_t *path = file && file->path ? json_string(file->path) : NULL;
    return json_pack("{s:o?, s:o}", "configuration", path, "packs", values);
}

/* Returns how often the history has written so far. Without `since`, first asks it to write now,
 * unless that was done just before. */
static json_t *answer_commit(struct control *control, const json_t *request)
{
    const struct outlets *outlets = control->overview->outlets;
    const double now = clock_now();
    struct outlet_state state;
    json_int_t written = 0;
    for (unsigned n = 0; outlets && outlets_state(outlets, n, &state); n++)
        if (state.stores)
            written = state.report->sent;
    bool asked = false;
    if (outlets && !json_object_get(request, "since") && now - control->commit_at > COMMIT_AGAIN_S)
        asked = outlets_commit(outlets);
    if (asked)
        control->commit_at = now;
    return json_pack("{s:I, s:b}", "written", written, "asked", asked);
}

static json_t *answer_tunnel(struct control *control, const struct control_peer *peer,
                             const json_t *request)
{
    char by[60];
    const json_t *seconds = json_object_get(request, "for_s");
    const double for_s = json_number_value(seconds);
    if (!json_is_number(seconds) || for_s < 0)
        return json_refusal("'for_s' must be a number of seconds, 0 to close the tunnel");
    snprintf(by, sizeof by, "user %u (process %d)", (unsigned) peer->uid, (int) peer->pid);
    return set_tunnel(control, text_of(request, "tunnel"), for_s, by);
}

enum request { STATUS, VALUES, CONFIGURATION, HEALTH, COMMIT, LISTEN, SEND, TUNNEL, SETUP };

static const struct {
    const char *name;
    bool acts; /* not read-only: needs the right to act */
    bool own;  /* answers by itself, if it does not refuse */
} requests[] = {
    [STATUS] = {"status", .own = true},
    [VALUES] = {"values"},
    [CONFIGURATION] = {"configuration"},
    [HEALTH] = {"health"},
    [COMMIT] = {"commit"},
    [LISTEN] = {"listen", .own = true},
    [SEND] = {"send", .acts = true, .own = true},
    [TUNNEL] = {"tunnel", .acts = true},
    [SETUP] = {"setup", .acts = true},
};

/* NULL: out of memory, or it was answered already, or will be. */
static json_t *answer_kind(struct control *control, struct control_client *client,
                           enum request kind, const json_t *request)
{
    char words[STATUS_WORDS];
    switch (kind) {
    case STATUS:
        control_answer(client, status_text(control));
        return NULL;
    case VALUES:
        return answer_values(control, request);
    case CONFIGURATION:
        return status_configuration(control->overview, clock_now());
    case HEALTH: /* any answer means that the gateway is healthy */
        status_words(control->overview, clock_now(), words);
        return json_pack("{s:b, s:s}", "healthy", 1, "status", words);
    case COMMIT:
        return answer_commit(control, request);
    case LISTEN:
        return listen_begin(control->listeners, client, text_of(request, "line"));
    case SEND:
        return listen_send(control->listeners, client, text_of(request, "line"),
                           text_of(request, "bytes"));
    case TUNNEL:
        return answer_tunnel(control, control_peer(client), request);
    case SETUP:
        return editing_arm(control->editing);
    }
    return NULL;
}

/* *own: NULL is no failure. */
static json_t *answer_request(struct control *control, struct control_client *client,
                              const json_t *request, bool *own)
{
    const char *what = json_string_value(json_object_get(request, "ask"));
    size_t i = 0;
    while (what && i < COUNT(requests) && strcmp(requests[i].name, what) != 0)
        i++;
    if (!what)
        return json_refusal("expected an object such as {\"ask\":\"status\"}");
    if (i == COUNT(requests))
        return json_refusal("unknown request '%s'", what);
    if (requests[i].acts && !control_peer(client)->may_act)
        return json_refusal("'%s' is for root and the user of the service only, not for processes "
                            "that the service has started",
                            what);
    *own = requests[i].own;
    return answer_kind(control, client, (enum request) i, request);
}

static void on_asked(void *data, struct control_client *client, char *line, size_t size)
{
    json_error_t error;
    bool own = false;
    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
    json_t *answer = request ? answer_request(data, client, request, &own)
                             : json_refusal("this is not JSON: %s", error.text);
    if (answer || !own)
        control_answer(client, json_text(answer));
    json_decref(request);
}

static void on_left(void *data, struct control_client *client)
{
    listen_left(((struct control *) data)->listeners, client);
}

static const struct control_events events = {.asked = on_asked, .left = on_left};

struct control *control_new(struct ev_loop *loop, const struct overview *overview)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control)
        return NULL;
    control->overview = overview;
    control->commit_at = -COMMIT_AGAIN_S;
    control->socket = control_socket_new(loop, &events, control);
    control->listeners = listen_new(overview);
    control->tunnels = tunnels_new(loop, overview);
    control->editing = editing_new(loop, overview);
    if (!control->socket || !control->listeners || !control->tunnels || !control->editing) {
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
    free(control->listeners);
    tunnels_free(control->tunnels);
    editing_free(control->editing);
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
