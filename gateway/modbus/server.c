// SPDX-License-Identifier: MIT
#include "server.h"

#include "answer.h"
#include "mbap.h"

#include "packs/json.h"
#include "base/address.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/listeners.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLIENT_BYTES (4 * MBAP_ADU_MAX) /* of requests; a whole one always fits */
#define REFUSED_LOGGED 16 /* addresses that are logged; further ones are only counted */
#define LOG_AGAIN_S 60    /* s between log messages about the same misbehaviour */

/* Why a client is disconnected. */
enum ending {
    STAYS,
    CLOSED,
    LOST,
    IDLE,
    UNREAD,
    BROKEN,
    DISPLACED,
    FORBIDDEN,
    LATE,
    SHUTDOWN,
    ENDINGS
};

// clang-format off
static const struct {
    const char *text;
    bool ours;    /* counted as dropped */
    bool notable; /* more than a debug message */
} endings[ENDINGS] = {
    /*             text                                                  ours   notable */
    [CLOSED]    = {"closed the connection",                              false, false},
    [LOST]      = {"is lost",                                            false, false},
    [IDLE]      = {"sent no request for too long, disconnected",         true,  false},
    [UNREAD]    = {"does not read its answers, disconnected",            true,  true},
    [BROKEN]    = {"sends data that is not Modbus TCP, disconnected",    true,  true},
    [DISPLACED] = {"is the longest idle of max_clients, disconnected for a new one", true, true},
    [FORBIDDEN] = {"is not in `allow` any more, disconnected",           true,  true},
    [LATE]      = {"may have sent its requests long ago, disconnected",  true,  false},
    [SHUTDOWN]  = {"disconnected, the server stops",                     true,  false},
};
// clang-format on

/* A place for a client. */
struct client {
    struct server *server;
    bool connected; /* false: the place is free, and nothing else in it holds */
    ev_io io;       /* io.fd is the socket */
    ev_timer idle;
    struct sockaddr_storage address;
    bool asked;      /* has sent at least one request */
    uint64_t ticket; /* of the order at the start of `bytes` that waits for its end; 0: none */
    uint64_t turn;   /* of its last request, or of its connecting; lower is longer ago */
    double came_at;
    uint32_t requests;
    double ordered_at; /* when that order was given */
    size_t size;
    uint8_t bytes[CLIENT_BYTES];
};

struct server {
    struct ev_loop *loop;
    struct late_turn_watcher watcher;
    struct listeners listeners;
    struct answerer answerer;
    struct allow_list allow;
    double idle_timeout_s;
    struct client *clients; /* places for all clients */
    unsigned max_clients, client_count;
    uint64_t turns, tickets;
    struct server_counters counters;
    double logged_at[ENDINGS]; /* 0: never */
    char refused[REFUSED_LOGGED][ADDRESS_TEXT];
    unsigned refused_count;
};

/* The next client behind one, which may be disconnected by now; NULL: the first one, or no more. */
static struct client *next_client(const struct server *server, const struct client *client)
{
    const struct client *end = server->clients + server->max_clients;
    struct client *next = server->clients + (client ? client - server->clients + 1 : 0);
    while (next < end && !next->connected)
        next++;
    return next < end ? next : NULL;
}

static const struct sockaddr *client_address(const struct client *client)
{
    return (const struct sockaddr *) &client->address;
}

/* It is idle for the shortest time; but not at all while it waits for the end of an order. */
static void note_turn(struct client *client)
{
    struct server *server = client->server;
    client->turn = ++server->turns;
    if (client->ticket)
        ev_timer_stop(server->loop, &client->idle);
    else
        ev_timer_again(server->loop, &client->idle);
}

static void end_client(struct client *client, enum ending ending)
{
    struct server *server = client->server;
    char text[ADDRESS_TEXT];
    const double now = clock_now();
    double *logged_at = &server->logged_at[ending];
    const bool again = *logged_at != 0 && now - *logged_at < LOG_AGAIN_S;
    const bool warns = endings[ending].notable && !again;
    if (warns || log_enabled(LOG_LEVEL_DEBUG))
        log_message(warns ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "client %s %s",
                    address_format(client_address(client), text), endings[ending].text);
    if (warns)
        *logged_at = now;
    server->counters.dropped += endings[ending].ours;
    server->client_count--;
    ev_io_stop(server->loop, &client->io);
    ev_timer_stop(server->loop, &client->idle);
    /* Also if a child process (a name look-up) holds a copy of the descriptor. */
    shutdown(client->io.fd, SHUT_RDWR);
    close(client->io.fd);
    client->connected = false;
    listeners_resume(&server->listeners);
}

static void note_request(struct client *client)
{
    client->asked = true;
    note_turn(client);
}

static enum ending send_answers(const struct client *client, struct answers *answers)
{
    const size_t size = answers->size;
    const ssize_t sent = size > 0 ? send(client->io.fd, answers->bytes, size, MSG_NOSIGNAL) : 0;
    answers->size = 0;
    return sent == (ssize_t) size ? STAYS : sent >= 0 || errno == EAGAIN ? UNREAD : LOST;
}

/* Answers a frame. False: it is an order that is in progress. */
static bool answer_frame(struct client *client, const uint8_t *frame, size_t size,
                         struct answers *answers, double now)
{
    struct server *server = client->server;
    const struct question question = {.client = client_address(client),
                                      .frame = frame,
                                      .size = size,
                                      .ticket = server->tickets + 1};
    client->requests++;
    if (answer(&server->answerer, &question, now, answers))
        return true;
    client->ordered_at = now;
    client->ticket = server->tickets = question.ticket;
    /* Answers are sent in the order of requests: nothing more is read before this one. */
    ev_io_stop(server->loop, &client->io);
    return false;
}

/* Answers all whole frames, with as few sends as possible; the rest moves to the start of the buffer. */
static void answer_frames(struct client *client)
{
    struct answers answers = {.size = 0};
    struct mbap_span span = {.kind = MBAP_FRAME};
    enum ending ending = STAYS;
    bool asked = false;
    size_t done = 0;

    for (; ending == STAYS; done += span.size) {
        span = mbap_find(client->bytes + done, client->size - done);
        if (span.kind == MBAP_MORE || span.kind == MBAP_BROKEN)
            break;
        if (span.kind == MBAP_FOREIGN) {
            client->server->counters.discarded++;
            continue;
        }
        const double now = clock_now();
        /* All stay unanswered: the next turn disconnects all clients. */
        if (late_turn_is_on(client->server->loop, now)) {
            answers.size = 0;
            break;
        }
        asked = true;
        if (!answer_frame(client, client->bytes + done, span.size, &answers, now))
            break;
        if (sizeof answers.bytes - answers.size < MBAP_ADU_MAX)
            ending = send_answers(client, &answers);
    }
    if (ending == STAYS)
        ending = send_answers(client, &answers);
    if (asked)
        note_request(client);
    client->size -= done;
    memmove(client->bytes, client->bytes + done, client->size);
    if (ending == STAYS && span.kind == MBAP_BROKEN)
        ending = BROKEN;
    if (ending != STAYS)
        end_client(client, ending);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    struct client *client = io->data;

    if (events & EV_CUSTOM) { /* bytes received behind an order */
        answer_frames(client);
        return;
    }
    const size_t room = sizeof client->bytes - client->size;
    const ssize_t n = recv(io->fd, client->bytes + client->size, room, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_client(client, n == 0 ? CLOSED : LOST);
        return;
    }
    client->size += (size_t) n;
    answer_frames(client);
}

/* The order that the client waited for has ended. The bytes it has sent since are handled from the
 * loop, because the caller must not be given the next order. If the order took long, these bytes
 * are just as old, and the client is disconnected. */
static void end_order(struct client *client, uint8_t exception)
{
    struct server *server = client->server;
    const size_t size = mbap_find(client->bytes, client->size).size;
    bool late = false;
    if (clock_now() - client->ordered_at > LATE_TURN_S) {
        /* Before the client can know of the answer. Drains the socket, because closing a socket with
         * unread bytes would make the kernel discard the answer. */
        uint8_t bytes[CLIENT_BYTES];
        late = client->size > size;
        while (recv(client->io.fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
            late = true;
    }
    struct answers answers = {.size = 0};
    answer_order(&server->answerer, client->bytes, exception, &answers);
    enum ending ending = send_answers(client, &answers);
    if (ending == STAYS && late)
        ending = LATE;
    if (ending != STAYS) {
        end_client(client, ending);
        return;
    }
    client->ticket = 0;
    note_request(client); /* its idle time starts with the answer */
    client->size -= size;
    memmove(client->bytes, client->bytes + size, client->size);
    ev_io_start(server->loop, &client->io);
    ev_feed_event(server->loop, &client->io, EV_CUSTOM);
}

void server_order_over(struct server *server, uint64_t ticket, uint8_t exception)
{
    for (struct client *client = NULL; (client = next_client(server, client));)
        if (client->ticket && client->ticket == ticket) {
            end_order(client, exception);
            return;
        }
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    end_client(timer->data, IDLE);
}

/* Whether a client is disconnected before another one: the longest idle first, but one that waits for the end of an order
 * last, and in a crowd of silent clients these before all others. */
static bool is_displaced_before(const struct client *client, const struct client *other, bool crowd)
{
    if (!client->ticket != !other->ticket)
        return !client->ticket;
    if (crowd && client->asked != other->asked)
        return other->asked;
    return client->turn < other->turn;
}

/* Clients in use must not be displaced by many silent ones: these go first once they hold half of the places. */
static struct client *longest_idle(struct server *server)
{
    unsigned silent = 0;
    struct client *client = NULL, *longest = NULL;
    while ((client = next_client(server, client)))
        silent += !client->asked;
    while ((client = next_client(server, client)))
        if (!longest || is_displaced_before(client, longest, silent > server->max_clients / 2))
            longest = client;
    return longest;
}

static void admit(struct server *server, int fd, const struct sockaddr_storage *address)
{
    if (server->client_count == server->max_clients)
        end_client(longest_idle(server), DISPLACED);
    struct client *client = server->clients;
    while (client->connected)
        client++;
    *client = (struct client){
        .server = server, .connected = true, .address = *address, .came_at = clock_now()};
    server->client_count++;
    server->counters.accepted++;
    ev_io_init(&client->io, on_readable, fd, EV_READ);
    client->io.data = client;
    ev_io_start(server->loop, &client->io);
    ev_init(&client->idle, on_idle);
    client->idle.repeat = server->idle_timeout_s;
    client->idle.data = client;
    note_turn(client);
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *address)
{
    struct server *server = data;
    if (allow_contains(&server->allow, (const struct sockaddr *) address)) {
        admit(server, fd, address);
        return;
    }
    server->counters.refused++;
    shutdown(fd, SHUT_RDWR);
    close(fd);
    /* Logged once for each address. */
    char text[ADDRESS_TEXT];
    address_format_host((const struct sockaddr *) address, text);
    for (unsigned i = 0; i < server->refused_count; i++)
        if (strcmp(server->refused[i], text) == 0)
            return;
    if (server->refused_count == REFUSED_LOGGED)
        return;
    memcpy(server->refused[server->refused_count++], text, sizeof text);
    log_warn("client %s refused: its address is not in `allow`%s", text,
             server->refused_count == REFUSED_LOGGED ? "; other addresses are not logged any more"
                                                     : "");
}

static void end_all(struct server *server, enum ending ending)
{
    for (struct client *client = NULL; (client = next_client(server, client));)
        end_client(client, ending);
}

static void on_late_turn(void *data, double since, double now)
{
    struct server *server = data;
    end_all(server, LATE);
    listeners_turn_away(&server->listeners);
}

struct server *server_new(struct ev_loop *loop, const struct gateway_config *config,
                          const struct units *units)
{
    struct server *server = alloc_zeroed(1, sizeof *server);
    assert(config->max_clients > 0);
    server->loop = loop;
    server->allow = config->allow;
    server->idle_timeout_s = config->idle_timeout_s;
    server->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = server};
    server->max_clients = config->max_clients;
    server->clients = alloc_zeroed(server->max_clients, sizeof *server->clients);
    late_turn_watch(loop, &server->watcher);
    server->answerer.units = units;
    if (listeners_open(&server->listeners, loop, &config->listen, "'listen'", on_accepted,
                       server) == 0)
        return server;
    server_free(server);
    return NULL;
}

void server_set_policy(struct server *server, const struct gateway_config *config)
{
    server->allow = config->allow;
    server->idle_timeout_s = config->idle_timeout_s;
    server->refused_count = 0;
    for (struct client *client = NULL; (client = next_client(server, client));) {
        client->idle.repeat = server->idle_timeout_s;
        if (!allow_contains(&server->allow, client_address(client)))
            end_client(client, FORBIDDEN);
    }
}

void server_set_orders(struct server *server, const struct allow_list *allow_write,
                       answer_switch *carry_out, void *data)
{
    server->answerer.allow_write = allow_write;
    server->answerer.carry_out = carry_out;
    server->answerer.data = data;
}

unsigned server_port(const struct server *server, unsigned listen_index)
{
    return listeners_port(&server->listeners, listen_index);
}

unsigned server_clients(const struct server *server)
{
    return server->client_count;
}

struct server_counters server_counters(const struct server *server)
{
    struct server_counters counters = server->counters;
    counters.requests = server->answerer.requests;
    counters.exceptions = server->answerer.exceptions;
    return counters;
}

json_t *server_status(const struct server *server, const struct gateway_config *config, double now)
{
    const struct server_counters counters = server_counters(server);
    json_t *object = json_object(), *listen = json_array(), *clients = json_array();
    for (unsigned i = 0; i < config->listen.count; i++) {
        const char *text = config->listen.at[i];
        json_array_append_new(listen, json_sprintf("%.*s:%u", (int) (strrchr(text, ':') - text),
                                                   text, server_port(server, i)));
    }
    json_object_set_new(object, "listen", listen);
    json_count(object, "base", (uint64_t) config->map.base);
    json_count(object, "clients", server->client_count);
    json_count(object, "max_clients", config->max_clients);
    json_count(object, "requests", counters.requests);
    json_count(object, "exceptions", counters.exceptions);
    json_count(object, "accepted", counters.accepted);
    json_count(object, "refused", counters.refused);
    json_count(object, "dropped", counters.dropped);
    json_count(object, "discarded", counters.discarded);
    for (const struct client *client = NULL; (client = next_client(server, client));) {
        char text[ADDRESS_TEXT];
        json_t *one =
            json_pack("{s:s, s:o}", "address", address_format(client_address(client), text),
                      "since", json_number((double) time(NULL) - (now - client->came_at), 0));
        json_count(one, "requests", client->requests);
        json_array_append_new(clients, one);
    }
    json_object_set_new(object, "connections", clients);
    return object;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    late_turn_unwatch(server->loop, &server->watcher);
    listeners_close(&server->listeners);
    end_all(server, SHUTDOWN);
    free(server->clients);
    free(server);
}
