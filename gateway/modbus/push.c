// SPDX-License-Identifier: MIT
/* Pushes values to a Modbus TCP server: the connection. */
#include "push.h"

#include "base/clock.h"
#include "base/dial.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0

struct push_counters {
    uint32_t requests;
    uint32_t answers;    /* that confirm a request */
    uint32_t exceptions; /* answers that refuse one */
    uint32_t malformed;  /* answers that are neither */
    uint32_t foreign;    /* frames that answer no request under way */
    uint32_t timeouts;   /* requests without an answer */
    uint32_t connects;   /* connections that came about */
    uint32_t failures;   /* that did not come about, or ended */
};

struct push {
    const struct push_config *config;
    struct ev_loop *loop;
    struct push_plan plan;
    struct dial dial;
    int fd; /* -1: not connected */
    ev_io readable;
    ev_timer timer; /* connected: the answer is late; else: connect (again) */
    ev_timer tick;  /* the interval */
    double backoff_s;
    bool answered;    /* since it was connected */
    bool reported_up; /* what the log says of it: neither at the start */
    bool reported_down;
    double down_since;
    bool waiting; /* for the answer to `request`, which writes `span` */
    struct push_request request;
    struct push_span span;
    uint16_t transaction; /* of the last request */
    uint8_t received[2 * MBAP_ADU_MAX];
    size_t size;
    struct push_counters counters;
};

static const char *name_of(const struct push *push)
{
    return push->config->name;
}

static void arm(struct push *push, double after)
{
    ev_timer_stop(push->loop, &push->timer);
    ev_timer_set(&push->timer, after, 0);
    ev_timer_start(push->loop, &push->timer);
}

/* ---- what the log says ---- */

static void report_down(struct push *push, const char *why)
{
    if (push->reported_down) {
        log_debug("push %s: %s", name_of(push), why);
        return;
    }
    log_warn("push %s: %s: %s; trying again, at least every %.0f s", name_of(push),
             push->config->target, why, BACKOFF_MOST_S);
    push->down_since = clock_now();
    push->reported_down = true;
}

static void report_up(struct push *push)
{
    if (push->reported_down)
        log_info("push %s: %s answers again after %.0f s", name_of(push), push->config->target,
                 clock_now() - push->down_since);
    else if (!push->reported_up)
        log_info("push %s: %s answers, unit %u", name_of(push), push->config->target,
                 push->config->unit);
    push->reported_up = true;
    push->reported_down = false;
}

static const char *describe_span(const struct push *push, char text[40])
{
    const struct push_span *span = &push->span;
    if (span->size == 1)
        snprintf(text, 40, "register %u", span->address);
    else
        snprintf(text, 40, "registers %u to %u", span->address, span->address + span->size - 1);
    return text;
}

/* Whether any item of the span is to be told about, with all of them marked as told. */
static bool turn_refused(struct push *push, bool refused)
{
    bool turned = false;
    for (unsigned i = 0; i < push->span.count; i++) {
        struct push_item *item = &push->plan.items[push->span.first + i];
        turned |= item->told_refused != refused;
        item->told_refused = refused;
    }
    return turned;
}

static void report_refused(struct push *push, const char *why)
{
    char text[40];
    if (turn_refused(push, true))
        log_warn("push %s: %s does not take %s: %s; only counted from now on", name_of(push),
                 push->config->target, describe_span(push, text), why);
}

static void report_accepted(struct push *push)
{
    char text[40];
    if (turn_refused(push, false))
        log_info("push %s: %s takes %s now", name_of(push), push->config->target,
                 describe_span(push, text));
}

/* Only numbers of packs can be out of range: the configuration has seen to the rest. */
static void report_clipped(const struct push *push, struct push_item *item)
{
    char name[VALUE_NAME_SIZE];
    if (item->clipped && !item->told_clipped)
        log_warn("push %s: %s.%s is %g, which does not fit into register %u; the nearest number "
                 "that does is written",
                 name_of(push), item->write->source, value_format(&item->write->value, name),
                 item->sent_value, item->write->address);
    item->told_clipped = item->clipped;
}

static void report_counters(const struct push *push)
{
    const struct push_counters *counters = &push->counters;
    if (counters->connects + counters->failures == 0)
        return;
    log_info(
        "push %s: %u requests, %u confirmed, %u exceptions, %u malformed and %u foreign answers, "
        "%u timeouts, %u connections, %u failed or ended",
        name_of(push), counters->requests, counters->answers, counters->exceptions,
        counters->malformed, counters->foreign, counters->timeouts, counters->connects,
        counters->failures);
}

/* ---- the connection ---- */

/* What the target has not received yet is thrown away: closing alone would leave it to the
 * system to deliver it later, maybe behind what the next connection writes. */
static void take_back(struct push *push)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    setsockopt(push->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    push_plan_lost(&push->plan, &push->span);
    push->waiting = false;
}

static void lose(struct push *push, const char *why)
{
    if (push->waiting)
        take_back(push);
    ev_io_stop(push->loop, &push->readable);
    dial_stop(&push->dial);
    push->fd = -1;
    push->counters.failures++;
    /* One that closes after each answer is no trouble: it works that way. */
    if (!push->answered)
        report_down(push, why);
    else
        log_debug("push %s: %s", name_of(push), why);
    push->backoff_s = push->answered || push->backoff_s <= 0
                          ? BACKOFF_FIRST_S
                          : fmin(push->backoff_s * 2, BACKOFF_MOST_S);
    push->answered = false;
    arm(push, push->backoff_s);
}

/* A request is far smaller than a socket's buffer, and no other is under way: a socket that does
 * not take it whole is stuck. */
static void send_request(struct push *push)
{
    const struct push_request *request = &push->request;
    log_frame("push >", request->bytes, request->size);
    ssize_t n = send(push->fd, request->bytes, request->size, MSG_NOSIGNAL);
    if (n != (ssize_t) request->size) {
        lose(push, n < 0 ? strerror(errno) : "its socket takes no more");
        return;
    }
    push->counters.requests++;
    arm(push, push->config->timeout_s);
}

static bool single(const struct push *push)
{
    return push->config->function == PUSH_SINGLE ||
           (push->config->function == PUSH_AUTO && push->span.size == 1);
}

static void send_due(struct push *push, double now)
{
    if (push->fd < 0 || push->waiting || !push_plan_take(&push->plan, now, &push->span))
        return;
    for (unsigned i = 0; i < push->span.count; i++)
        report_clipped(push, &push->plan.items[push->span.first + i]);
    push_request_build(&push->request, ++push->transaction, (uint8_t) push->config->unit,
                       single(push), push->span.address, push->span.words, push->span.size);
    push->waiting = true;
    send_request(push);
}

static void take_answer(struct push *push, enum push_reply reply, uint8_t exception)
{
    char why[80];
    push->waiting = false;
    push->answered = true;
    ev_timer_stop(push->loop, &push->timer);
    report_up(push);
    switch (reply) {
    case PUSH_DONE:
        push->counters.answers++;
        report_accepted(push);
        break;
    case PUSH_REFUSED:
        push->counters.exceptions++;
        snprintf(why, sizeof why, "exception %u (%s)", exception,
                 modbus_strerror(MODBUS_ENOBASE + exception));
        report_refused(push, why);
        break;
    default:
        push->counters.malformed++;
        report_refused(push, "its answer is malformed");
        break;
    }
}

static void take_frame(struct push *push, const uint8_t *frame, size_t size)
{
    uint8_t exception = 0;
    enum push_reply reply =
        push->waiting ? push_reply_check(&push->request, frame, size, &exception) : PUSH_FOREIGN;
    log_frame("push <", frame, size);
    if (reply == PUSH_FOREIGN)
        push->counters.foreign++;
    else
        take_answer(push, reply, exception);
}

/* All whole frames; false: what came cannot be Modbus TCP. */
static bool take_frames(struct push *push)
{
    size_t taken = 0;
    while (taken < push->size) {
        const uint8_t *bytes = push->received + taken;
        struct mbap_span found = mbap_find(bytes, push->size - taken);
        if (found.kind == MBAP_BROKEN)
            return false;
        if (found.kind == MBAP_MORE)
            break;
        if (found.kind == MBAP_FRAME)
            take_frame(push, bytes, found.size);
        else
            push->counters.foreign++;
        taken += found.size;
    }
    memmove(push->received, push->received + taken, push->size - taken);
    push->size -= taken;
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    struct push *push = io->data;
    ssize_t n = recv(push->fd, push->received + push->size, sizeof push->received - push->size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        lose(push, n < 0 ? strerror(errno) : "it closed the connection");
        return;
    }
    push->size += (size_t) n;
    if (take_frames(push))
        send_due(push, clock_now());
    else
        lose(push, "it does not speak Modbus TCP");
}

static void on_opened(void *data, int fd)
{
    struct push *push = data;
    push->fd = fd;
    push->size = 0;
    push->counters.connects++;
    ev_io_set(&push->readable, fd, EV_READ);
    ev_io_start(push->loop, &push->readable);
    /* It may have been restarted, and know nothing any more. */
    push_plan_all(&push->plan);
    ev_timer_again(push->loop, &push->tick);
    send_due(push, clock_now());
}

static void on_failed(void *data, const char *why)
{
    lose(data, why);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct push *push = timer->data;
    if (push->fd < 0) {
        dial_start(&push->dial);
        return;
    }
    char why[60];
    snprintf(why, sizeof why, "no answer for %g s", push->config->timeout_s);
    push->counters.timeouts++;
    lose(push, why);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct push *push = timer->data;
    push_plan_all(&push->plan);
    send_due(push, clock_now());
}

/* ---- life ---- */

void push_values_changed(struct push *push, const struct source *source, double now)
{
    push_plan_changes(&push->plan, source, now);
    send_due(push, now);
}

struct push *push_new(struct ev_loop *loop, const struct push_config *config, push_find *find,
                      const void *data, double counts_from)
{
    static const struct dial_events events = {.opened = on_opened, .failed = on_failed};
    struct push *push = calloc(1, sizeof *push);
    if (!push)
        return NULL;
    push->config = config;
    push->loop = loop;
    push->fd = -1;
    if (!push_plan_init(&push->plan, config, find, data, counts_from, clock_now()) ||
        !dial_init(&push->dial, loop, config->target + strlen("tcp://"), &events, push)) {
        push_plan_close(&push->plan);
        free(push);
        return NULL;
    }
    ev_init(&push->readable, on_readable);
    ev_init(&push->timer, on_timer);
    ev_timer_init(&push->tick, on_tick, config->interval_s, config->interval_s);
    push->readable.data = push->timer.data = push->tick.data = push;
    arm(push, 0);
    return push;
}

void push_free(struct push *push)
{
    if (!push)
        return;
    report_counters(push);
    if (push->waiting)
        take_back(push);
    ev_io_stop(push->loop, &push->readable);
    ev_timer_stop(push->loop, &push->timer);
    ev_timer_stop(push->loop, &push->tick);
    dial_stop(&push->dial);
    push_plan_close(&push->plan);
    free(push);
}
