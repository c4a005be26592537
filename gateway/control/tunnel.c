// SPDX-License-Identifier: MIT
/* Tunnels. */
#include "tunnel.h"

#include "packs/json.h"
#include "lines/line.h"
#include "config/keys.h"
#include "base/address.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/timer.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define GATHER_S 0.02     /* s of silence that end a request of the program */
#define KERNEL_ROOM 4096  /* bytes that a program may have sent before we read them */
#define GATHER_MOST_S 0.3 /* s after which a request without pauses is cut */
#define FLOOD_BYTES 32768 /* bytes dropped within FLOOD_S that count as a flood */
#define FLOOD_S 10.0
#define CHUNKS_MAX 8 /* requests that wait for the line */
#define IN_ROOM (2 * LOAN_BYTES)
#define OUT_ROOM 16384 /* bytes for a program that does not read */
#define AGAIN_S 0.5    /* s until a line that is down is tried again */
#define BY_SIZE 80
#define REFUSALS_APART_S 60.0 /* s between log messages: some programs retry every second */

struct tunnel {
    struct tunnels *tunnels;
    struct tunnel_config config; /* as it was when the tunnel was opened */
    char by[BY_SIZE];
    double opened_at, until;
    double refused_at; /* the last time a refusal was logged, */
    unsigned refused;  /* and the refusals since then */
    struct listeners listeners;
    ev_timer closing;
    /* the program; fd -1: none is connected */
    ev_io readable, writable;
    ev_timer gather, idle, proceed;
    char address[ADDRESS_TEXT];
    double came_at;
    double begun_at;         /* start of the bytes since its last pause */
    uint64_t sent, received; /* bytes to and from the line */
    unsigned exchanges, unanswered, dropped;
    size_t flood; /* bytes dropped since then */
    double flood_since;
    /* its bytes, cut into requests at its pauses */
    uint8_t in[IN_ROOM];
    size_t in_size;
    struct {
        size_t end;
        double whole_at; /* when it was complete: its answer is due ORDER_VALID_S later at most */
    } requests[CHUNKS_MAX];
    unsigned chunks;
    uint8_t out[OUT_ROOM];
    size_t out_size;
    struct loan loan;
    struct line *lender; /* has the loan queued or running; NULL: no */
    bool has_line;       /* share = no: this program owns the line */
    struct trouble down;
    TAILQ_ENTRY(tunnel) entry;
};

struct tunnels {
    struct ev_loop *loop;
    const struct overview *overview;
    struct late_turn_watcher watcher;
    TAILQ_HEAD(, tunnel) open;
};

static bool is_connected(const struct tunnel *tunnel)
{
    return tunnel->readable.fd >= 0;
}

static void hang_up(struct tunnel *tunnel, const char *why)
{
    struct ev_loop *loop = tunnel->tunnels->loop;
    if (!is_connected(tunnel))
        return;
    const double lasted_s = clock_now() - tunnel->came_at;
    log_info("tunnel %s: %s %s after %.*f s: %llu bytes to line %s, %llu from it, %u exchanges, %u "
             "unanswered",
             tunnel->config.name, tunnel->address, why, lasted_s < 10, lasted_s,
             (unsigned long long) tunnel->sent, tunnel->config.line,
             (unsigned long long) tunnel->received, tunnel->exchanges, tunnel->unanswered);
    ev_io_stop(loop, &tunnel->readable);
    ev_io_stop(loop, &tunnel->writable);
    ev_timer_stop(loop, &tunnel->gather);
    ev_timer_stop(loop, &tunnel->idle);
    ev_timer_stop(loop, &tunnel->proceed);
    close(tunnel->readable.fd);
    tunnel->readable.fd = -1;
    tunnel->in_size = tunnel->out_size = 0;
    tunnel->chunks = 0;
    tunnel->has_line = false;
    struct line *lender = tunnel->lender;
    tunnel->lender = NULL;
    if (lender)
        line_take_back(lender, &tunnel->loan);
}

static void send_out(struct tunnel *tunnel)
{
    while (tunnel->out_size > 0) {
        ssize_t sent =
            send(tunnel->readable.fd, tunnel->out, tunnel->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            ev_io_start(tunnel->tunnels->loop, &tunnel->writable);
            return;
        }
        if (sent < 0) {
            hang_up(tunnel, "was lost");
            return;
        }
        tunnel->out_size -= (size_t) sent;
        memmove(tunnel->out, tunnel->out + sent, tunnel->out_size);
    }
    ev_io_stop(tunnel->tunnels->loop, &tunnel->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *io, int revents)
{
    send_out(io->data);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct tunnel *tunnel = data;
    tunnel->received += size;
    if (size > OUT_ROOM - tunnel->out_size) {
        hang_up(tunnel, "does not read; disconnected");
        return;
    }
    memcpy(tunnel->out + tunnel->out_size, bytes, size);
    tunnel->out_size += size;
    send_out(tunnel);
}

/* Takes the first request, or as much of it as fits into one loan. Without `bytes` it is dropped. */
static size_t first_chunk(struct tunnel *tunnel, uint8_t *bytes)
{
    const size_t end = tunnel->requests[0].end, size = end < LOAN_BYTES ? end : LOAN_BYTES;
    if (bytes)
        memcpy(bytes, tunnel->in, size);
    if (size == end)
        memmove(tunnel->requests, tunnel->requests + 1,
                --tunnel->chunks * sizeof *tunnel->requests);
    tunnel->in_size -= size;
    memmove(tunnel->in, tunnel->in + size, tunnel->in_size);
    for (unsigned i = 0; i < tunnel->chunks; i++)
        tunnel->requests[i].end -= size;
    return size;
}

/* Bytes for a line that is down are dropped: the program expects its answer at once. */
static void report_down(struct tunnel *tunnel, const char *why)
{
    if (trouble_begins(&tunnel->down, clock_now()))
        log_warn("tunnel %s: line %s %s; what the program sends is dropped until it is back",
                 tunnel->config.name, tunnel->config.line, why);
}

static void on_begun(void *data)
{
    struct tunnel *tunnel = data;
    double lasted_s;
    if (trouble_ends(&tunnel->down, clock_now(), &lasted_s))
        log_info("tunnel %s: line %s is back after %.0f s", tunnel->config.name,
                 tunnel->config.line, lasted_s);
    tunnel->has_line = tunnel->loan.open_end;
    tunnel->exchanges += !tunnel->loan.open_end;
    if (tunnel->has_line && tunnel->chunks > 0)
        timer_restart(tunnel->tunnels->loop, &tunnel->proceed, 0);
}

/* The line may be about to be freed: continue from the loop. */
static void on_done(void *data, enum loan_result result)
{
    struct tunnel *tunnel = data;
    tunnel->lender = NULL;
    tunnel->has_line = false;
    if (!tunnel->loan.open_end) {
        tunnel->unanswered += result == LOAN_UNANSWERED;
        tunnel->dropped += result == LOAN_NO_LINE || result == LOAN_TOO_LATE;
    }
    if (result == LOAN_LOST)
        report_down(tunnel, "was lost while the program had it");
    else if (result == LOAN_NO_LINE)
        report_down(tunnel, "is down");
    else if (result == LOAN_TOO_LATE)
        log_debug("tunnel %s: line %s was busy for too long", tunnel->config.name,
                  tunnel->config.line);
    timer_restart(tunnel->tunnels->loop, &tunnel->proceed, tunnel->loan.open_end ? AGAIN_S : 0);
}

static bool ask_for_line(struct tunnel *tunnel)
{
    struct line *line = overview_line(tunnel->tunnels->overview, tunnel->config.line);
    tunnel->loan.begun = on_begun;
    tunnel->loan.received = on_received;
    tunnel->loan.done = on_done;
    tunnel->loan.data = tunnel;
    tunnel->loan.open_end = !tunnel->config.share;
    if (line && line_lend(line, &tunnel->loan)) {
        tunnel->lender = line;
        return true;
    }
    report_down(tunnel, "is down");
    return false;
}

static void pass_all(struct tunnel *tunnel)
{
    uint8_t bytes[LOAN_BYTES];
    while (tunnel->chunks > 0 && tunnel->has_line) {
        size_t size = first_chunk(tunnel, bytes);
        tunnel->sent += size;
        tunnel->exchanges++;
        if (!line_pass(tunnel->lender, &tunnel->loan, bytes, size)) {
            log_debug("tunnel %s: line %s did not accept %zu bytes", tunnel->config.name,
                      tunnel->config.line, size);
            tunnel->dropped++;
        }
    }
}

/* Passes on the requests that are due. */
static void proceed(struct tunnel *tunnel)
{
    const double now = clock_now();
    /* In a late turn the age of the bytes is unknown; the next turn disconnects the program. */
    if (!is_connected(tunnel) || late_turn_is_on(tunnel->tunnels->loop, now))
        return;
    /* Drops requests whose program has stopped waiting for the answer. */
    for (; tunnel->chunks > 0 && now - tunnel->requests[0].whole_at > ORDER_VALID_S;
         tunnel->dropped++)
        first_chunk(tunnel, NULL);
    if (!tunnel->config.share) {
        if (tunnel->has_line)
            pass_all(tunnel);
        else if (!tunnel->lender && !ask_for_line(tunnel)) {
            while (tunnel->chunks > 0)
                first_chunk(tunnel, NULL);
            timer_restart(tunnel->tunnels->loop, &tunnel->proceed, AGAIN_S);
        }
        return;
    }
    while (!tunnel->lender && tunnel->chunks > 0) {
        tunnel->loan.queued_at = tunnel->requests[0].whole_at;
        tunnel->loan.size = first_chunk(tunnel, tunnel->loan.bytes);
        if (ask_for_line(tunnel))
            tunnel->sent += tunnel->loan.size;
        else
            tunnel->dropped++;
    }
}

static void on_proceed(struct ev_loop *loop, ev_timer *timer, int revents)
{
    proceed(timer->data);
}

static void end_chunk(struct tunnel *tunnel)
{
    size_t last = tunnel->chunks > 0 ? tunnel->requests[tunnel->chunks - 1].end : 0;
    if (tunnel->in_size <= last || tunnel->chunks == CHUNKS_MAX)
        return;
    tunnel->requests[tunnel->chunks].whole_at = clock_now();
    tunnel->requests[tunnel->chunks++].end = tunnel->in_size;
}

/* The program has paused: one request is complete. */
static void on_gathered(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct tunnel *tunnel = timer->data;
    ev_timer_stop(loop, timer);
    end_chunk(tunnel);
    proceed(tunnel);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct tunnel *tunnel = io->data;
    /* Drops the oldest requests, because the program waits for the answer to the last one. Reading
     * continues, so that the program's disconnect is noticed. */
    const size_t before = tunnel->in_size;
    for (; tunnel->chunks > 0 &&
           (tunnel->chunks == CHUNKS_MAX || tunnel->in_size > IN_ROOM - LOAN_BYTES);
         tunnel->dropped++)
        first_chunk(tunnel, NULL);
    if (tunnel->in_size == IN_ROOM)
        tunnel->in_size = 0;
    tunnel->flood += before - tunnel->in_size;
    ssize_t size = recv(io->fd, tunnel->in + tunnel->in_size, IN_ROOM - tunnel->in_size, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        hang_up(tunnel, size == 0 ? "left" : "was lost");
        return;
    }
    const double now = clock_now();
    tunnel->in_size += (size_t) size;
    ev_timer_again(loop, &tunnel->idle);
    if (!ev_is_active(&tunnel->gather))
        tunnel->begun_at = now;
    if (now - tunnel->flood_since > FLOOD_S) {
        tunnel->flood_since = now;
        tunnel->flood = 0;
    }
    if (tunnel->flood > FLOOD_BYTES) {
        hang_up(tunnel, "sends far more than the line can carry; disconnected");
        return;
    }
    bool full = tunnel->in_size == IN_ROOM || now - tunnel->begun_at > GATHER_MOST_S;
    /* With exclusive use of the line, the program and its BMS detect the pauses themselves. */
    if (full || !tunnel->config.share) {
        ev_timer_stop(loop, &tunnel->gather);
        end_chunk(tunnel);
        proceed(tunnel);
    } else {
        ev_timer_again(loop, &tunnel->gather);
    }
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int revents)
{
    hang_up(timer->data, "sent nothing for too long; disconnected");
}

static void tell_refusals(struct tunnel *tunnel)
{
    if (tunnel->refused > 0)
        log_warn("tunnel %s: %u further connections refused", tunnel->config.name, tunnel->refused);
    tunnel->refused = 0;
}

static void on_accepted(void *data, int fd, const struct sockaddr_storage *address)
{
    struct tunnel *tunnel = data;
    struct ev_loop *loop = tunnel->tunnels->loop;
    char text[ADDRESS_TEXT];
    address_format((const struct sockaddr *) address, text);
    const struct allow_list *allow =
        &packs_config(tunnel->tunnels->overview->packs)->gateway.allow_write;
    const char *why = !allow_contains(allow, (const struct sockaddr *) address)
                          ? "its address is not in `allow_write`"
                      : is_connected(tunnel) ? "another program is connected"
                                             : NULL;
    if (why) {
        const double now = clock_now();
        if (now - tunnel->refused_at < REFUSALS_APART_S) {
            tunnel->refused++;
        } else {
            tell_refusals(tunnel);
            log_warn("tunnel %s: %s refused: %s", tunnel->config.name, text, why);
            tunnel->refused_at = now;
        }
        close(fd);
        return;
    }
    const int room = KERNEL_ROOM;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    memcpy(tunnel->address, text, sizeof text);
    tunnel->came_at = clock_now();
    tunnel->sent = tunnel->received = 0;
    tunnel->exchanges = tunnel->unanswered = tunnel->dropped = 0;
    tunnel->flood = 0;
    ev_io_set(&tunnel->readable, fd, EV_READ);
    ev_io_set(&tunnel->writable, fd, EV_WRITE);
    ev_io_start(loop, &tunnel->readable);
    ev_timer_again(loop, &tunnel->idle);
    log_info("tunnel %s: %s is connected to line %s%s", tunnel->config.name, text,
             tunnel->config.line,
             tunnel->config.share ? "" : "; its packs are not polled meanwhile");
    proceed(tunnel); /* share = no: it needs the line at once */
}

static struct tunnel *find_open(const struct tunnels *tunnels, const char *name)
{
    struct tunnel *tunnel = TAILQ_FIRST(&tunnels->open);
    while (tunnel && strcmp(tunnel->config.name, name) != 0)
        tunnel = TAILQ_NEXT(tunnel, entry);
    return tunnel;
}

static const struct tunnel_config *find_config(const struct tunnels *tunnels, const char *name)
{
    return config_struct_find(packs_config(tunnels->overview->packs), &tunnel_section, name);
}

static void close_tunnel(struct tunnel *tunnel, const char *why)
{
    struct tunnels *tunnels = tunnel->tunnels;
    hang_up(tunnel, "was disconnected");
    ev_timer_stop(tunnels->loop, &tunnel->closing);
    listeners_close(&tunnel->listeners);
    tell_refusals(tunnel);
    log_info("tunnel %s: closed after %.0f s: %s", tunnel->config.name,
             clock_now() - tunnel->opened_at, why);
    TAILQ_REMOVE(&tunnels->open, tunnel, entry);
    free(tunnel);
}

static void on_closing(struct ev_loop *loop, ev_timer *timer, int revents)
{
    close_tunnel(timer->data, "its time has expired");
}

static struct tunnel *new_tunnel(struct tunnels *tunnels, const struct tunnel_config *config)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    if (!tunnel)
        return NULL;
    tunnel->tunnels = tunnels;
    tunnel->config = *config;
    ev_io_init(&tunnel->readable, on_readable, -1, EV_READ);
    ev_io_init(&tunnel->writable, on_writable, -1, EV_WRITE);
    ev_init(&tunnel->gather, on_gathered);
    tunnel->gather.repeat = GATHER_S;
    ev_init(&tunnel->idle, on_idle);
    tunnel->idle.repeat = config->idle_s;
    ev_init(&tunnel->proceed, on_proceed);
    ev_init(&tunnel->closing, on_closing);
    tunnel->readable.data = tunnel->writable.data = tunnel->gather.data = tunnel->idle.data =
        tunnel->proceed.data = tunnel->closing.data = tunnel;
    if (listeners_open(&tunnel->listeners, tunnels->loop, &tunnel->config.listen,
                       "'listen' of the tunnel", on_accepted, tunnel) < 0) {
        free(tunnel);
        return NULL;
    }
    tunnel->opened_at = clock_now();
    tunnel->refused_at = -INFINITY;
    TAILQ_INSERT_HEAD(&tunnels->open, tunnel, entry);
    return tunnel;
}

static json_t *tunnel_object(const struct tunnels *tunnels, const struct tunnel_config *config,
                             double now)
{
    const struct tunnel *tunnel = find_open(tunnels, config->name);
    const double wall = (double) time(NULL) - now;
    json_t *listen = json_array();
    for (unsigned i = 0; i < config->listen.count; i++) {
        const char *text = config->listen.at[i], *port = strrchr(text, ':');
        json_array_append_new(listen, tunnel ? json_sprintf("%.*s:%u", (int) (port - text), text,
                                                            listeners_port(&tunnel->listeners, i))
                                             : json_string(text));
    }
    json_t *object =
        json_pack("{s:s, s:s, s:b, s:b, s:o}", "name", config->name, "line", config->line, "share",
                  config->share, "open", tunnel != NULL, "listen", listen);
    if (tunnel) {
        json_object_set_new(object, "by", json_string(tunnel->by));
        json_object_set_new(object, "since", json_number(wall + tunnel->opened_at, 0));
        json_object_set_new(object, "until", json_number(wall + tunnel->until, 0));
    }
    if (tunnel && is_connected(tunnel)) {
        json_object_set_new(object, "client", json_string(tunnel->address));
        json_object_set_new(object, "client_since", json_number(wall + tunnel->came_at, 0));
        json_count(object, "sent", tunnel->sent);
        json_count(object, "received", tunnel->received);
        json_count(object, "exchanges", tunnel->exchanges);
        json_count(object, "unanswered", tunnel->unanswered);
        json_count(object, "dropped", tunnel->dropped);
    }
    return object;
}

json_t *tunnels_set(struct tunnels *tunnels, const char *name, double for_s, const char *by)
{
    const struct tunnel_config *config = find_config(tunnels, name);
    struct tunnel *tunnel = find_open(tunnels, name);
    const bool was_open = tunnel != NULL;
    if (!config)
        return json_refusal("there is no [tunnel %s]", name);
    if (for_s != 0 && !(for_s >= 1 && for_s <= TUNNEL_LONGEST_S))
        return json_refusal("a tunnel is open for 1 s to 24 h");
    if (for_s == 0 && tunnel) {
        char text[BY_SIZE + 8];
        snprintf(text, sizeof text, "by %s", by);
        close_tunnel(tunnel, text);
    } else if (for_s != 0) {
        tunnel = tunnel ? tunnel : new_tunnel(tunnels, config);
        if (!tunnel)
            return json_refusal("cannot listen on its address; see the log for the reason");
        snprintf(tunnel->by, sizeof tunnel->by, "%s", by);
        tunnel->until = clock_now() + for_s;
        timer_restart(tunnels->loop, &tunnel->closing, for_s);
        log_info("tunnel %s: %s by %s for %.0f s", name, was_open ? "extended" : "opened", by,
                 for_s);
    }
    json_t *object = tunnel_object(tunnels, config, clock_now());
    json_object_set_new(object, "was_open", json_boolean(was_open));
    return object;
}

json_t *tunnels_status(const struct tunnels *tunnels, double now)
{
    const struct config *config = packs_config(tunnels->overview->packs);
    json_t *list = json_array();
    for (unsigned i = 0; i < config->tunnel_count; i++)
        json_array_append_new(list, tunnel_object(tunnels, &config->tunnels[i], now));
    return list;
}

static void on_late_turn(void *data, double since, double now)
{
    const struct tunnels *tunnels = data;
    struct tunnel *tunnel;
    TAILQ_FOREACH(tunnel, &tunnels->open, entry)
    {
        hang_up(tunnel, "may have sent its bytes long ago; disconnected");
        listeners_turn_away(&tunnel->listeners);
    }
}

struct tunnels *tunnels_new(struct ev_loop *loop, const struct overview *overview)
{
    struct tunnels *tunnels = alloc_zeroed(1, sizeof *tunnels);
    tunnels->loop = loop;
    tunnels->overview = overview;
    TAILQ_INIT(&tunnels->open);
    tunnels->watcher = (struct late_turn_watcher){.late = on_late_turn, .data = tunnels};
    late_turn_watch(loop, &tunnels->watcher);
    return tunnels;
}

void tunnels_renew(struct tunnels *tunnels)
{
    for (struct tunnel *tunnel = TAILQ_FIRST(&tunnels->open), *next; tunnel; tunnel = next) {
        next = TAILQ_NEXT(tunnel, entry);
        const struct tunnel_config *config = find_config(tunnels, tunnel->config.name);
        if (!config || !config_same(&tunnel_section, config, &tunnel->config, CHANGE_SECTION))
            close_tunnel(tunnel, "its section was removed or changed");
    }
}

void tunnels_free(struct tunnels *tunnels)
{
    late_turn_unwatch(tunnels->loop, &tunnels->watcher);
    while (!TAILQ_EMPTY(&tunnels->open))
        close_tunnel(TAILQ_FIRST(&tunnels->open), "the gateway stops");
    free(tunnels);
}
