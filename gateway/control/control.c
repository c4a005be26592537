// SPDX-License-Identifier: MIT
/*
 * Answers the requests of the control socket. Two concern a line as long as their client is connected:
 * showing the bytes on it, and sending a single request by hand.
 */
#include "control.h"

#include "editing.h"
#include "socket.h"
#include "tunnel.h"

#include "packs/json.h"
#include "lines/line.h"
#include "config/keys.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/text.h"

#include "bms/bytes.h"
#include "bms/count.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAME_S 0.2          /* s for which a status is cached, for all clients */
#define COMMIT_AGAIN_S 10.0 /* s between two requests that make the history write */
#define LINE_ROOM (3 * 2 * BMS_FRAME_MAX + 101) /* for two frames in hexadecimal */

/* A client that listens in, or that waits for the response to its own request. */
struct onlooker {
    struct control *control;
    struct control_client *client;
    char name[NAME_SIZE]; /* of the line */
    struct line *line;    /* NULL: there is no line of that name at the moment */
    struct line_tap tap;
    bool sends;
    struct loan loan;
    double begun_at;         /* 0: not yet */
    json_t *sent, *received; /* pieces in hexadecimal */
    size_t withheld;
    TAILQ_ENTRY(onlooker) entry;
};

struct control {
    const struct overview *overview;
    struct control_socket *socket;
    TAILQ_HEAD(, onlooker) onlookers;
    unsigned dropped; /* that did not read */
    struct tunnels *tunnels;
    struct editing *editing;
    char *status; /* the cached status; NULL: none */
    double status_at, commit_at;
    json_int_t commit_from; /* how often the history had written at commit_at */
    char text[LINE_ROOM];   /* preallocated: nothing is allocated while packs are polled */
};

/* With many packs a status takes a while to build, so it is cached. The cache is dropped as soon
 * as a pack in it turns stale. */
static char *status_text(struct control *control)
{
    const double now = clock_now();
    bool good = control->status && now - control->status_at < SAME_S &&
                now < packs_next_stale(control->overview->packs);
    if (!good) {
        const struct onlooker *onlooker;
        json_int_t listeners = 0;
        free(control->status);
        TAILQ_FOREACH(onlooker, &control->onlookers, entry)
        listeners += !onlooker->sends;
        json_t *status = status_of(control->overview, now);
        json_object_set_new(status, "tunnels", tunnels_status(control->tunnels, now));
        json_object_set_new(status, "control",
                            json_pack("{s:I, s:I, s:I}", "listeners", listeners, "dropped",
                                      (json_int_t) control->dropped, "clients",
                                      (json_int_t) control_clients(control->socket)));
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
    const char *missing;
    if (names && !json_is_array(names))
        return json_refusal("'packs' must be a list of names");
    json_t *values = status_values(control->overview, names, clock_now(), &missing);
    if (!values)
        return json_refusal("there is no pack '%s'", missing);
    json_t *path = json_string(control->overview->file->path); /* NULL: it is not UTF-8 */
    return json_pack("{s:o?, s:o}", "configuration", path, "packs", values);
}

/* Returns how often the history has written so far, and whether it will write: without `since`, first asks it to write
 * now, unless that was done just before. */
static json_t *answer_commit(struct control *control, const json_t *request)
{
    const struct outlets *outlets = control->overview->outlets;
    const double now = clock_now();
    struct outlet_state state;
    json_int_t written = 0;
    for (unsigned n = 0; outlets && outlets_state(outlets, n, &state); n++)
        if (state.stores)
            written = state.report->sent;
    const bool recent = now - control->commit_at <= COMMIT_AGAIN_S;
    bool asked = recent && written == control->commit_from;
    if (outlets && !json_object_get(request, "since") && !recent && outlets_commit(outlets)) {
        control->commit_at = now;
        control->commit_from = written;
        asked = true;
    }
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

static void free_onlooker(struct onlooker *onlooker)
{
    if (onlooker->line)
        line_unwatch(onlooker->line, &onlooker->tap);
    TAILQ_REMOVE(&onlooker->control->onlookers, onlooker, entry);
    json_decref(onlooker->sent);
    json_decref(onlooker->received);
    free(onlooker);
}

static void on_gone(void *data)
{
    ((struct onlooker *) data)->line = NULL;
}

static void watch(struct onlooker *onlooker)
{
    onlooker->line = overview_line(onlooker->control->overview, onlooker->name);
    if (onlooker->line)
        line_watch(onlooker->line, &onlooker->tap);
}

static struct onlooker *new_onlooker(struct control *control, struct control_client *client,
                                     const char *name, mask_show *passed)
{
    struct onlooker *onlooker = calloc(1, sizeof *onlooker);
    if (!onlooker)
        return NULL;
    onlooker->control = control;
    onlooker->client = client;
    snprintf(onlooker->name, sizeof onlooker->name, "%s", name);
    onlooker->tap = (struct line_tap){.passed = passed, .gone = on_gone, .data = onlooker};
    TAILQ_INSERT_HEAD(&control->onlookers, onlooker, entry);
    watch(onlooker);
    return onlooker;
}

/* Why a line cannot be used; NULL: it can. */
static json_t *refuse_line(const struct control *control, const char *name)
{
    if (overview_line(control->overview, name))
        return NULL;
    if (config_struct_find(packs_config(control->overview->packs), &line_section, name))
        return json_refusal(
            "line %s is not polled yet: the protocol of its pack is still being searched", name);
    return json_refusal("there is no [line %s]", name);
}

static void add_hex(struct text *text, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text_format(text, i > 0 ? " %02X" : "%02X", bytes[i]);
}

/* Shows a client a piece of bytes as a JSON object, as soon as it may be shown:
 *     {"at": 1795365527.123, "passed": ">", "bytes": "A5 40 90 08"}    '>' to the packs, '<' from them
 *     {"at": 1795365527.155, "withheld": 12}                           bytes of no whole frame, which may hold a secret */
static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct onlooker *onlooker = data;
    struct control *control = onlooker->control;
    struct text text = text_in(control->text, sizeof control->text);
    text_add(&text, "{\"at\":");
    text_number(&text, clock_wall(), 3);
    if (direction == '#') {
        text_format(&text, ",\"withheld\":%zu}", size);
    } else {
        text_format(&text, ",\"passed\":\"%c\",\"bytes\":\"", direction);
        add_hex(&text, bytes, size);
        text_add(&text, "\"}");
    }
    if (control_tell(onlooker->client, control->text))
        return;
    control->dropped++;
    log_warn("control socket: process %d listens on line %s but does not read; disconnected",
             (int) control_peer(onlooker->client)->pid, onlooker->name);
    control_close(onlooker->client);
    free_onlooker(onlooker);
}

/* Makes the client listen from now on. Returns NULL, or the refusal. */
static json_t *listen_begin(struct control *control, struct control_client *client,
                            const char *line)
{
    json_t *refusal = refuse_line(control, line);
    if (refusal)
        return refusal;
    struct onlooker *onlooker = new_onlooker(control, client, line, on_passed);
    char *head = onlooker ? json_text(json_pack("{s:s, s:s}", "listening", line, "protocol",
                                                line_protocol(onlooker->line)))
                          : NULL;
    if (!head || !control_watch(client)) {
        free(head);
        if (onlooker)
            free_onlooker(onlooker);
        return json_refusal("out of memory");
    }
    control_tell(client, head);
    free(head);
    return NULL;
}

/* Records only the bytes of the loan: earlier polls pass through this tap, too. */
static void on_own(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct onlooker *onlooker = data;
    if (onlooker->begun_at == 0)
        return;
    struct text text = text_in(onlooker->control->text, sizeof onlooker->control->text);
    add_hex(&text, bytes, size);
    if (direction == '#')
        onlooker->withheld += size;
    else
        json_array_append_new(direction == '>' ? onlooker->sent : onlooker->received,
                              json_string(text.bytes));
}

static void on_begun(void *data)
{
    ((struct onlooker *) data)->begun_at = clock_now();
}

/* Only counts: the tap delivers the bytes that may be shown. */
static void on_bytes(void *data, const uint8_t *bytes, size_t size)
{
}

static void on_done(void *data, enum loan_result result)
{
    static const char *const words[] = {
        [LOAN_ANSWERED] = "answered",
        [LOAN_UNANSWERED] = "no answer",
        [LOAN_LOST] = "the connection to the line was lost",
        [LOAN_TOO_LATE] = "the line was busy for too long, nothing was sent",
        [LOAN_NO_LINE] = "the line is down, nothing was sent",
    };
    struct onlooker *onlooker = data;
    json_t *answer =
        json_pack("{s:s, s:s, s:O, s:O}", "line", onlooker->name, "result", words[result], "sent",
                  onlooker->sent, "received", onlooker->received);
    if (onlooker->begun_at > 0)
        json_object_set_new(answer, "seconds", json_number(clock_now() - onlooker->begun_at, 3));
    if (onlooker->withheld > 0)
        json_object_set_new(answer, "withheld", json_integer((json_int_t) onlooker->withheld));
    const char *sent = json_string_value(json_array_get(onlooker->sent, 0));
    log_info("line %s: %s: %s", onlooker->name, sent ? sent : "a request by hand", words[result]);
    struct control_client *client = onlooker->client;
    free_onlooker(onlooker);
    control_answer(client, json_text(answer));
}

/* Sends bytes, and answers the client later with the response. Returns NULL, or the refusal. */
static json_t *listen_send(struct control *control, struct control_client *client, const char *line,
                           const char *hex)
{
    struct loan loan = {.begun = on_begun, .received = on_bytes, .done = on_done};
    json_t *refusal = refuse_line(control, line);
    if (refusal)
        return refusal;
    if (*hex_bytes(hex, loan.bytes, LOAN_BYTES, &loan.size) || loan.size == 0)
        return json_refusal("expected 1 to %d bytes as pairs of hexadecimal digits", LOAN_BYTES);
    struct onlooker *onlooker = new_onlooker(control, client, line, on_own);
    if (!onlooker)
        return json_refusal("out of memory");
    loan.data = onlooker;
    loan.queued_at = clock_now();
    onlooker->loan = loan;
    onlooker->sends = true;
    onlooker->sent = json_array();
    onlooker->received = json_array();
    if (!onlooker->line || !line_lend(onlooker->line, &onlooker->loan)) {
        free_onlooker(onlooker);
        return json_refusal("line %s is down, or its device sends without being polled", line);
    }
    const struct control_peer *peer = control_peer(client);
    log_info("line %s: user %u (process %d) sends %zu bytes by hand", line, (unsigned) peer->uid,
             (int) peer->pid, loan.size);
    return NULL;
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
        return listen_begin(control, client, text_of(request, "line"));
    case SEND:
        return listen_send(control, client, text_of(request, "line"), text_of(request, "bytes"));
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
    const struct control *control = data;
    struct onlooker *onlooker = TAILQ_FIRST(&control->onlookers);
    while (onlooker && onlooker->client != client)
        onlooker = TAILQ_NEXT(onlooker, entry);
    if (!onlooker)
        return;
    /* A request that was not sent yet is cancelled: its client is gone. */
    if (onlooker->sends && onlooker->line)
        line_take_back(onlooker->line, &onlooker->loan);
    if (onlooker->sends)
        log_info("line %s: the client that sent by hand has disconnected%s", onlooker->name,
                 onlooker->begun_at > 0 ? "" : ", nothing was sent");
    free_onlooker(onlooker);
}

static const struct control_events events = {.asked = on_asked, .left = on_left};

struct control *control_new(struct ev_loop *loop, const struct overview *overview)
{
    struct control *control = alloc_zeroed(1, sizeof *control);
    control->overview = overview;
    TAILQ_INIT(&control->onlookers);
    control->commit_at = -COMMIT_AGAIN_S;
    control->socket = control_socket_new(loop, &events, control);
    control->tunnels = tunnels_new(loop, overview);
    control->editing = editing_new(loop, overview);
    control_renew(control);
    return control;
}

void control_free(struct control *control)
{
    if (!control)
        return;
    control_socket_free(control->socket);
    tunnels_free(control->tunnels);
    editing_free(control->editing);
    free(control->status);
    free(control);
}

void control_renew(struct control *control)
{
    struct onlooker *onlooker;
    control->status_at = -1;
    TAILQ_FOREACH(onlooker, &control->onlookers, entry)
    if (!onlooker->line && !onlooker->sends)
        watch(onlooker);
    tunnels_renew(control->tunnels);
    const struct config *config = packs_config(control->overview->packs);
    const struct config_entry *entry =
        config_entry_find(config, &gateway_section, "", "control", 0);
    control_socket_open(control->socket, config->gateway.control, entry && entry->line > 0);
}
