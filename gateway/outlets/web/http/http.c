// SPDX-License-Identifier: MIT
#include "http.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/timer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CUT_SPARE 32 /* cut connections that the library has not closed yet: it refuses more */
#define LOG_AGAIN_S 60.0
#define UNREAD_MOST 8    /* pieces of 4 KiB that are read of a refused request */
#define TLS_HANDSHAKE 22 /* the first byte of an encrypted connection */

enum client_state {
    CLIENT_READING,   /* the first request, or the body of a later one */
    CLIENT_ANSWERING, /* the answer is being sent, or the request is held */
    CLIENT_RESTING    /* no whole head of the next request was received */
};

struct client {
    TAILQ_ENTRY(client) entry, woken;
    int fd;
    enum client_state state;
    double since; /* of the state */
    bool paused, cut;
    double begun_at; /* the request */
    unsigned status;
    struct MHD_Response *response; /* response that waits to be queued */
    size_t target_size;            /* of the target with its arguments, up to a NUL */
    ev_io first; /* TLS only: waits for the first byte, before the library reads it */
    ev_io ended; /* streams only: waits for the end, which the library does not watch */
    struct http_request request;
};
struct http {
    struct ev_loop *loop;
    struct http_settings settings;
    struct listeners listeners;
    struct MHD_Daemon *daemon;
    TAILQ_HEAD(, client) clients, woken; /* all; those that were paused, and may go on */
    ev_io readable;
    ev_prepare prepare;
    struct late_turn_watcher watcher;
    ev_timer due, second;
    struct http_counters counters;
    double refused_at;
    bool added; /* the library has to run, which its time-out does not say */
};

static struct client *client_of(const struct http_request *request)
{
    return (struct client *) (uintptr_t) ((const char *) request -
                                          offsetof(struct client, request));
}

/* Woken clients go on one after the other, each until the kernel has all that it sends. The library would
 * take the data of all clients first, and send values from before a stop in between as fresh ones. */
static void run_library(struct http *http)
{
    struct client *client;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    http->added = false;
    MHD_run(http->daemon);
    while ((client = TAILQ_FIRST(&http->woken))) {
        TAILQ_REMOVE(&http->woken, client, woken);
        MHD_resume_connection(client->request.connection);
        /* Not for longer, as other clients may keep the library busy. */
        for (int sent = 0; sent <= HTTP_STREAM_MOST; sent += HTTP_PIECE) {
            MHD_run(http->daemon);
            if (MHD_get_timeout(http->daemon, &ms) != MHD_YES || ms > 0)
                break;
        }
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    run_library(io->data);
}

static void on_due(struct ev_loop *loop, ev_timer *timer, int revents)
{
    run_library(timer->data);
}

/* Before the loop waits: sets the timer to the library's own time-out. */
static void on_prepare(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
    struct http *http = prepare->data;
    MHD_UNSIGNED_LONG_LONG ms = 0;
    ev_timer_stop(loop, &http->due);
    if (http->added || !TAILQ_EMPTY(&http->woken) || MHD_get_timeout(http->daemon, &ms) == MHD_YES)
        timer_restart(loop, &http->due, (double) ms / 1e3);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    char x[ADDRESS_TEXT], y[ADDRESS_TEXT];
    return strcmp(address_format_host((const struct sockaddr *) a, x), address_format_host(b, y)) ==
           0;
}

unsigned http_of_client(const struct http *http, const struct sockaddr *address, bool peers)
{
    unsigned count = 0;
    const struct client *client;
    TAILQ_FOREACH(client, &http->clients, entry)
    count +=
        !client->cut && same_host(peers ? &client->request.peer : &client->request.client, address);
    return count;
}

/* Shuts the socket down: the library sees the end and closes it, maybe a turn later. Its place is free at once. */
void http_cut(struct http_request *request)
{
    struct client *client = client_of(request);
    if (client->cut)
        return;
    client->cut = true;
    request->http->counters.dropped++;
    ev_io_stop(request->http->loop, &client->ended);
    shutdown(client->fd, SHUT_RDWR);
    http_wake(request);
}

/* While a stream has nothing to send, the library does not watch its socket. A reader sends
 * nothing after its request: readable means that the client has closed the connection. */
static void on_stream_ended(struct ev_loop *loop, ev_io *io, int revents)
{
    http_cut(&((struct client *) io->data)->request);
}

static void on_late_turn(void *data, double since, double now)
{
    struct http *http = data;
    struct client *client;
    TAILQ_FOREACH(client, &http->clients, entry)
    http_cut(&client->request);
    listeners_turn_away(&http->listeners);
}

/* Makes room by closing the client that was idle for longest: a half request counts as idle, an answer does not. False: there
 * is none. */
static bool make_room(struct http *http, const struct sockaddr *peer, bool is_proxy)
{
    struct client *client, *longest = NULL;
    const bool many =
        !is_proxy && http_of_client(http, peer, true) >= http->settings.max_per_address;
    if (!many && http_counters(http).clients < http->settings.max_clients)
        return true;
    TAILQ_FOREACH(client, &http->clients, entry)
    if (!client->cut && client->state != CLIENT_ANSWERING &&
        (!many || same_host(&client->request.peer, peer)) &&
        (!longest || client->since < longest->since))
        longest = client;
    if (longest)
        http_cut(&longest->request);
    return longest != NULL;
}

/* Answers a client that is not passed to the library. */
static void send_last(int fd, const char *text)
{
    char request[4096];
    /* Unread bytes would make the kernel discard the answer. A client that sends without end gets
     * none. */
    for (int i = 0; i < UNREAD_MOST; i++)
        if (recv(fd, request, sizeof request, MSG_DONTWAIT) != sizeof request)
            break;
    if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("web: %s", strerror(errno));
}

static void turn_away(struct http *http, int fd, const struct sockaddr *peer, bool busy)
{
    char text[ADDRESS_TEXT];
    const char *why =
        busy ? "was rejected: all connections are busy" : "is not in `allow` and was rejected";
    const double now = clock_now();
    const bool again = http->refused_at != 0 && now - http->refused_at < LOG_AGAIN_S;
    if (!again)
        http->refused_at = now;
    log_message(again ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "web: client %s %s",
                address_format_host(peer, text), why);
    http->counters.refused++;
    if (busy && !http->settings.tls_cert)
        send_last(fd, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
                      "Content-Length: 0\r\nConnection: close\r\n\r\n");
    close(fd);
}

static void release_client(struct http *http, struct client *client)
{
    if (client->response)
        MHD_destroy_response(client->response);
    TAILQ_REMOVE(&http->clients, client, entry);
    free(client);
}

/* Finds a client whose connection the library has not begun yet. */
static struct client *find_waiting(const struct http *http, int fd)
{
    struct client *client;
    TAILQ_FOREACH(client, &http->clients, entry)
    if (client->fd == fd && !client->request.connection)
        return client;
    return NULL;
}

static void pass_to_library(struct client *client)
{
    struct http *http = client->request.http;
    const struct sockaddr *peer = (const struct sockaddr *) &client->request.peer;
    const int fd = client->fd;
    /* If the library refuses, it has closed the socket, and reports that only if the connection
     * had begun. */
    if (MHD_add_connection(http->daemon, fd, peer, sizeof client->request.peer) != MHD_YES &&
        (client = find_waiting(http, fd)))
        release_client(http, client);
    http->added = true;
}

/* A client that speaks plain HTTP to an encrypted page gets a message instead of a closed
 * connection. */
static void on_first(struct ev_loop *loop, ev_io *io, int revents)
{
    struct client *client = io->data;
    struct http *http = client->request.http;
    uint8_t first = 0;
    const ssize_t size = recv(client->fd, &first, sizeof first, MSG_PEEK | MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    ev_io_stop(loop, io);
    if (size == 1 && first == TLS_HANDSHAKE && !client->cut) {
        pass_to_library(client);
        return;
    }
    if (size == 1 && !client->cut)
        send_last(
            client->fd,
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 57\r\n"
            "Connection: close\r\n\r\nThis page is encrypted: its address begins with https://\n");
    close(client->fd);
    release_client(http, client);
    listeners_resume(&http->listeners);
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *peer)
{
    struct http *http = data;
    /* Since version 1.0 the library begins a connection in its next turn. If it cannot, it closes
     * the socket without a callback; the number of that socket is reused here. */
    struct client *gone = find_waiting(http, fd);
    if (gone)
        release_client(http, gone);
    const struct sockaddr *address = (const struct sockaddr *) peer;
    bool is_proxy = false;
    const bool admitted = http->settings.admit(http->settings.data, address, &is_proxy);
    if (!admitted || !make_room(http, address, is_proxy)) {
        turn_away(http, fd, address, admitted);
        return;
    }
    struct client *client = alloc_zeroed(1, sizeof *client);
    *client = (struct client){
        .fd = fd,
        .state = CLIENT_READING,
        .since = clock_now(),
        .request = {.http = http, .peer = *peer, .client = *peer, .proxied = is_proxy}};
    TAILQ_INSERT_TAIL(&http->clients, client, entry);
    if (!http->settings.tls_cert) {
        pass_to_library(client);
        return;
    }
    ev_io_init(&client->first, on_first, fd, EV_READ);
    client->first.data = client;
    ev_io_start(http->loop, &client->first);
}

/* A connection has begun or is over. */
static void on_connection(void *data, struct MHD_Connection *connection, void **own,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = data;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct client *client = info ? find_waiting(http, info->connect_fd) : NULL;
        *own = client;
        if (client)
            client->request.connection = connection;
        return;
    }
    if (!*own)
        return;
    release_client(http, *own);
    listeners_resume(&http->listeners);
}

/* Once a second: cuts clients that take too long. */
static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    static const double limits[] = {[CLIENT_READING] = HTTP_REQUEST_S,
                                    [CLIENT_ANSWERING] = HTTP_ANSWER_S,
                                    [CLIENT_RESTING] = HTTP_IDLE_S};
    struct http *http = timer->data;
    const double now = clock_now();
    struct client *client;
    TAILQ_FOREACH(client, &http->clients, entry)
    if (!ev_is_active(&client->ended) && now - client->since > limits[client->state])
        http_cut(&client->request);
}

static void enter(struct client *client, enum client_state state)
{
    client->state = state;
    client->since = clock_now();
}

/* A malformed field name, such as one with a trailing blank, is skipped by some parsers and
 * accepted by others (RFC 9112, 5.1). */
static enum MHD_Result find_bad_name(void *data, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    bool *bad = data;
    for (const unsigned char *c = (const unsigned char *) name; *c; c++)
        *bad |= *c <= ' ' || *c >= 0x7F || strchr("\"(),/:;<=>?@[\\]{}", *c);
    *bad |= !name[0];
    return MHD_YES;
}

/* The target as received; the library later returns only the path, up to a NUL. */
static void *on_target(void *data, const char *target, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    if (client)
        client->target_size = target ? strlen(target) : 0;
    return NULL;
}

/* Rejects a head that two parsers could read in two ways (RFC 9112, 6.3). */
static unsigned check_head(const struct http_request *request, const char **why)
{
    const char *length = http_header(request, "Content-Length");
    bool bad = false;
    *why = "this request is ambiguous";
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, find_bad_name, &bad);
    if (bad || http_header_count(request, "Host") > 1 ||
        http_header_count(request, "Content-Length") > 1)
        return MHD_HTTP_BAD_REQUEST;
    if (http_header(request, "Transfer-Encoding")) {
        *why = "a body needs a Content-Length";
        return length ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_LENGTH_REQUIRED;
    }
    if (length && (!length[0] || length[strspn(length, "0123456789")]))
        return MHD_HTTP_BAD_REQUEST;
    if (length && (strlen(length) > 6 || strtoul(length, NULL, 10) > HTTP_BODY_MAX)) {
        *why = "too large";
        return MHD_HTTP_CONTENT_TOO_LARGE;
    }
    return 0;
}

static enum MHD_Result send_answer(struct client *client)
{
    struct MHD_Response *response = client->response;
    client->response = NULL;
    const double now = clock_now();
    /* A next request on this connection may have waited unread since then: close it. */
    if (client->request.ends || now - client->begun_at > LATE_TURN_S)
        MHD_add_response_header(response, "Connection", "close");
    const enum MHD_Result result =
        MHD_queue_response(client->request.connection, client->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result begin_request(struct client *client, const char *target, const char *method,
                                     const char *version)
{
    struct http_request *request = &client->request;
    const char *why = "a NUL in the address";
    enter(client, CLIENT_READING);
    client->begun_at = client->since;
    request->target = target;
    request->is_head = strcmp(method, "HEAD") == 0;
    request->method = request->is_head ? "GET" : method;
    request->body_size = 0;
    request->client = request->peer;
    request->over = NULL;
    request->http->counters.requests++;
    /* The version follows the target after one blank in the same buffer. If it is further away,
     * the target contains a NUL, and another parser may have taken the rest for part of the
     * path. */
    const size_t size = (size_t) ((uintptr_t) version - (uintptr_t) target - 1);
    const unsigned status = (size > client->target_size && size < HTTP_MEMORY)
                                ? MHD_HTTP_BAD_REQUEST
                                : check_head(request, &why);
    if (status == 0)
        return MHD_YES;
    /* What follows may be a body or a request: the connection is closed. */
    http_error(request, status, why);
    client->request.ends = true;
    enter(client, CLIENT_ANSWERING);
    return send_answer(client);
}

static enum MHD_Result take_body(struct http_request *request, const char *bytes, size_t *size)
{
    if (!request->body)
        request->body = alloc_checked(malloc(HTTP_BODY_MAX + 1));
    if (*size > HTTP_BODY_MAX - request->body_size)
        return MHD_NO;
    memcpy(request->body + request->body_size, bytes, *size);
    request->body_size += *size;
    request->body[request->body_size] = '\0';
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *connection, const char *target,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *size, void **own)
{
    struct http *http = data;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    if (!client || client->cut)
        return MHD_NO;
    const bool begun = *own != NULL;
    *own = client;
    if (!begun)
        return begin_request(client, target, method, version);
    if (*size > 0)
        return take_body(&client->request, bytes, size);
    if (client->response)
        return send_answer(client);
    enter(client, CLIENT_ANSWERING);
    http->settings.handle(http->settings.data, &client->request);
    if (client->response)
        return send_answer(client);
    /* A held request: the library calls again when it is resumed. */
    client->paused = true;
    MHD_suspend_connection(connection);
    return MHD_YES;
}

static void on_completed(void *data, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode why)
{
    struct client *client = *own;
    *own = NULL;
    if (!client)
        return;
    ev_io_stop(client->request.http->loop, &client->ended);
    client->paused = false;
    enter(client, CLIENT_RESTING);
    if (client->since - client->begun_at > LATE_TURN_S)
        http_cut(&client->request);
    struct http_request *request = &client->request;
    free(request->body);
    request->body = NULL;
    if (request->over)
        request->over(request->data);
    request->over = NULL;
}

/* Keeps the path encoded, so that it is compared as received; http_argument decodes arguments. */
static size_t keep_escapes(void *data, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

void http_answer(struct http_request *request, unsigned status, struct MHD_Response *response)
{
    struct client *client = client_of(request);
    client->status = status;
    client->response = response;
    request->over = NULL;
    http_wake(request);
}

void http_hold(struct http_request *request, void (*over)(void *data), void *data)
{
    request->over = over;
    request->data = data;
}

void http_is_stream(struct http_request *request, void (*over)(void *data), void *data)
{
    struct client *client = client_of(request);
    ev_io_init(&client->ended, on_stream_ended, client->fd, EV_READ);
    ev_set_priority(&client->ended, EV_MAXPRI); /* before a new client that needs its place */
    client->ended.data = client;
    ev_io_start(request->http->loop, &client->ended);
    http_hold(request, over, data);
}

ssize_t http_pause(struct http_request *request)
{
    struct client *client = client_of(request);
    if (client->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    client->paused = true;
    MHD_suspend_connection(request->connection);
    return 0;
}

void http_wake(struct http_request *request)
{
    struct client *client = client_of(request);
    if (!client->paused)
        return;
    client->paused = false;
    TAILQ_INSERT_TAIL(&request->http->woken, client, woken);
}

unsigned http_port(const struct http *http, unsigned n)
{
    return listeners_port(&http->listeners, n);
}

struct http_counters http_counters(const struct http *http)
{
    struct http_counters counters = http->counters;
    struct client *client;
    TAILQ_FOREACH(client, &http->clients, entry)
    {
        counters.clients += !client->cut;
        counters.streams += ev_is_active(&client->ended) != 0;
    }
    return counters;
}

static void on_log(void *data, const char *format, va_list arguments)
{
    char text[300];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_debug("web: %s", text);
}

static bool start_library(struct http *http)
{
    const struct http_settings *settings = &http->settings;
    unsigned flags =
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *) (uintptr_t) settings->tls_cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *) (uintptr_t) settings->tls_key},
        {MHD_OPTION_END, 0, NULL}};
    if (settings->tls_cert)
        flags |= MHD_USE_TLS;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
        MHD_OPTION_CONNECTION_LIMIT, settings->max_clients + CUT_SPARE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) HTTP_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned) HTTP_IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed, http,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_URI_LOG_CALLBACK, on_target,
        NULL, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, settings->tls_cert ? tls : &tls[2],
        MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || info->epoll_fd < 0) {
        log_error("web: the server cannot be started%s",
                  settings->tls_cert ? "; is tls_cert a certificate and its key?" : "");
        return false;
    }
    ev_io_set(&http->readable, info->epoll_fd, EV_READ);
    return true;
}

struct http *http_new(struct ev_loop *loop, const struct http_settings *settings)
{
    struct http *http = alloc_zeroed(1, sizeof *http);
    http->loop = loop;
    http->settings = *settings;
    TAILQ_INIT(&http->clients);
    TAILQ_INIT(&http->woken);
    ev_init(&http->readable, on_readable);
    ev_prepare_init(&http->prepare, on_prepare);
    http->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = http};
    ev_init(&http->due, on_due);
    ev_timer_init(&http->second, on_second, 1, 1);
    http->readable.data = http->prepare.data = http->due.data = http->second.data = http;
    late_turn_watch(loop, &http->watcher);
    if (!start_library(http) || listeners_open(&http->listeners, loop, settings->listen,
                                               "'listen' of [web]", on_accepted, http) < 0)
        return NULL;
    ev_io_start(loop, &http->readable);
    ev_prepare_start(loop, &http->prepare);
    ev_timer_start(loop, &http->second);
    return http;
}
