// SPDX-License-Identifier: MIT
#include "push.h"

#include "push_plan.h"

#include "packs/json.h"
#include "base/alloc.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/dial.h"
#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"

#include <errno.h>
#include <math.h>
#include <modbus.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0
/* a silent unit gets a tenth of the time, because the others wait for its time-outs */
#define MUTE_TIMES 9
/* Seconds for which other pushes take precedence over a silent unit, even when its pause is over. */
#define LAST_S 10.0
#define NAMES_SIZE 120
#define PASSING_S 20.0 /* s for which a target may be busy before it is logged */
#define AGAIN_S 60.0   /* s that any repeated trouble must last before it is logged */
/* s for which a running search delays the message, so that one message lists all registers it finds */
#define SEARCH_S 30.0
#define LIST_SIZE 100

struct push_counters {
    uint32_t requests;
    uint32_t answers;    /* responses that confirm a request */
    uint32_t exceptions; /* exception responses */
    uint32_t malformed;  /* invalid responses */
    uint32_t timeouts;   /* requests that timed out */
};

/* One push. */
struct push {
    struct push_target *target;
    const struct push_config *config;
    struct push_plan plan;
    ev_timer tick;       /* fires at the interval */
    bool introduced;     /* logged that it answers */
    bool answered;       /* its unit has answered since the last time-out of this push */
    bool writes_many;    /* function 16 for one register as well: it refused function 6 */
    bool others;         /* another unit of the target has answered since then */
    struct trouble mute; /* its unit is silent while others answer */
    double pause_s, not_before;
    struct push_counters counters;
};

struct push_target {
    struct ev_loop *loop;
    const char *address; /* "tcp://host:port" */
    struct dial dial;
    int fd; /* -1: not connected */
    ev_io readable;
    ev_timer timer; /* connected: response time-out; else: connect (again) */
    double backoff_s;
    bool answered;       /* since the connection was made */
    struct trouble down; /* trouble with the connection, for the log */
    struct push *pushes;
    unsigned count;
    unsigned turn;      /* index of the push that is next */
    struct push *asked; /* the push whose request, which writes `span`, is in flight; NULL: none */
    struct push_request request;
    struct push_span span;
    uint16_t transaction; /* of the last request */
    uint8_t received[2 * MBAP_ADU_MAX];
    size_t size;
    uint32_t foreign;  /* frames that answer no request in flight */
    uint32_t connects; /* successful connections */
    uint32_t failures; /* failed or ended connections */
    char trouble[80];  /* reason of the last failure */
};

struct pushes {
    struct ev_loop *loop;
    struct packs *packs;
    struct observer observer;
    struct push_target **targets;
    unsigned count;
};

/* "plc, scada": the pushes to this target, as many as fit. */
static const char *names(const struct push_target *target, char text[NAMES_SIZE])
{
    struct text list = text_in(text, NAMES_SIZE - sizeof ", ...");
    for (unsigned i = 0; i < target->count; i++)
        text_format(&list, "%s%s", i > 0 ? ", " : "", target->pushes[i].config->name);
    return list.cut ? strcat(text, ", ...") : text;
}

/* "registers 5, 100 to 103", of the items [first, end) that are picked: as many as fit. */
static const char *list_registers(const struct push_item *first, const struct push_item *end,
                                  char text[LIST_SIZE])
{
    char runs_text[LIST_SIZE - sizeof "registers , ..."];
    struct text runs = text_in(runs_text, sizeof runs_text);
    unsigned registers = 0;
    while (first < end) {
        if (!first->picked) {
            first++;
            continue;
        }
        unsigned from = first->write->address, to = from;
        for (; first < end && first->picked && first->write->address == to; first++)
            to += first->write->size;
        text_format(&runs, to - from == 1 ? "%s%u" : "%s%u to %u", registers > 0 ? ", " : "", from,
                    to - 1);
        registers += to - from;
    }
    snprintf(text, LIST_SIZE, "register%s %s%s", registers == 1 ? "" : "s", runs_text,
             runs.cut ? ", ..." : "");
    return text;
}

static bool is_to_be_logged(const struct push_item *item, double now)
{
    double patience = item->was_told ? AGAIN_S : item->state == PUSH_PUT_OFF ? PASSING_S : 0;
    bool found =
        item->state == PUSH_PUT_OFF || item->state == PUSH_BARRED || item->state == PUSH_IGNORED;
    return found && !item->told && now - item->since >= patience;
}

/* Logs new trouble with registers once; what may pass by itself once it lasts: call it often. */
static void report_troubles(struct push_plan *plan, double now)
{
    struct push_item *end = plan->items + plan->count;
    bool searching = false;
    for (const struct push_item *item = plan->items; item < end; item++)
        searching |= item->searching;
    for (const struct push_item *item = plan->items; item < end; item++) {
        if (!is_to_be_logged(item, now) || (searching && now - item->since < SEARCH_S))
            continue;
        for (struct push_item *other = plan->items; other < end; other++)
            other->picked = is_to_be_logged(other, now) && other->state == item->state &&
                            other->exception == item->exception;
        char registers[LIST_SIZE], why[120];
        if (item->state == PUSH_IGNORED)
            snprintf(why, sizeof why,
                     "no answer, although it answers others, which are written first now");
        else if (item->exception == PUSH_NO_EXCEPTION)
            snprintf(why, sizeof why, "its response is malformed; retrying silently");
        else
            snprintf(why, sizeof why, "exception %u (%s); retrying silently", item->exception,
                     modbus_strerror(MODBUS_ENOBASE + item->exception));
        log_warn("push %s: %s rejects %s: %s", plan->config->name, plan->config->target,
                 list_registers(plan->items, end, registers), why);
        for (struct push_item *told = plan->items; told < end; told++)
            if (told->picked)
                told->told = told->was_told = true;
    }
}

/* The target has accepted the span; to be called before push_plan_done. */
static void report_taken(struct push_plan *plan, const struct push_span *span)
{
    char registers[LIST_SIZE];
    struct push_item *first = &plan->items[span->first], *end = first + span->count;
    bool any = false;
    for (struct push_item *item = first; item < end; item++) {
        any |= item->picked = item->told;
        item->told = false;
    }
    if (any)
        log_info("push %s: %s accepts %s now", plan->config->name, plan->config->target,
                 list_registers(first, end, registers));
}

static void report_answer(struct push *push)
{
    struct push_target *target = push->target;
    char text[NAMES_SIZE];
    double now = clock_now(), lasted_s;
    bool back = trouble_ends(&target->down, now, &lasted_s);
    if (back)
        log_info("push %s: %s answers again after %.0f s", names(target, text), target->address,
                 lasted_s);
    if (trouble_ends(&push->mute, now, &lasted_s)) {
        log_info("push %s: %s answers for unit %u again after %.0f s", push->config->name,
                 target->address, push->config->unit, lasted_s);
        push_plan_end_pauses(&push->plan);
    } else if (!push->introduced && !back) {
        log_info("push %s: %s answers, unit %u", push->config->name, target->address,
                 push->config->unit);
    }
    push->introduced = true;
    for (unsigned i = 0; back && i < target->count; i++)
        push_plan_end_pauses(&target->pushes[i].plan);
}

/* Discards unsent data (SO_LINGER): a plain close would let the kernel deliver it later, maybe
 * after writes of the next connection. */
static void discard_unsent(struct push_target *target)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    setsockopt(target->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    target->asked = NULL;
}

/* Also when a connection was not made. */
static void close_connection(void *data, const char *why)
{
    struct push_target *target = data;
    struct push *push = target->asked;
    double now = clock_now();
    char text[NAMES_SIZE];
    if (push) {
        push_plan_unanswered(&push->plan, &target->span, push->answered, now);
        report_troubles(&push->plan, now);
        /* A unit that is silent while others behind the same address answer does not affect these. */
        if (!push->answered && push->others) {
            double first_s = fmax(BACKOFF_FIRST_S, push->config->timeout_s);
            double most_s = fmax(BACKOFF_MOST_S, MUTE_TIMES * push->config->timeout_s);
            if (trouble_begins(&push->mute, now))
                log_warn("push %s: %s does not answer for unit %u, but for others; retrying, at "
                         "least every %.0f s",
                         push->config->name, target->address, push->config->unit, most_s);
            push->not_before = now + backoff_grow(&push->pause_s, first_s, most_s);
        }
        push->answered = push->others = false;
        discard_unsent(target);
    }
    ev_io_stop(target->loop, &target->readable);
    dial_stop(&target->dial);
    target->fd = -1;
    target->failures++;
    snprintf(target->trouble, sizeof target->trouble, "%s", why);
    /* A target that closes after each response works that way; that is no trouble. */
    if (target->answered)
        target->backoff_s = 0;
    else if (trouble_begins(&target->down, now))
        log_warn("push %s: %s: %s; retrying, at least every %.0f s", names(target, text),
                 target->address, why, BACKOFF_MOST_S);
    log_debug("push: %s: %s", target->address, why);
    target->answered = false;
    timer_restart(target->loop, &target->timer,
                  backoff_grow(&target->backoff_s, BACKOFF_FIRST_S, BACKOFF_MOST_S));
}

/* The next push that has something to write. `last`: also what may not be answered. */
static struct push *choose_push(struct push_target *target, double now, bool last)
{
    for (unsigned i = 0; i < target->count; i++) {
        struct push *push = &target->pushes[(target->turn + i) % target->count];
        double from = push->not_before + (push->mute.told && !last ? LAST_S : 0);
        if (now < from || !push_plan_take(&push->plan, now, last, &target->span))
            continue;
        target->turn = (target->turn + i + 1) % target->count;
        return push;
    }
    return NULL;
}

static void send_due(struct push_target *target, double now)
{
    if (target->fd < 0 || target->asked)
        return;
    struct push *push = choose_push(target, now, false);
    if (!push && !(push = choose_push(target, now, true)))
        return;
    const struct push_span *span = &target->span;
    target->asked = push;
    /* Only numbers of packs can be out of range: the configuration has checked the others. */
    for (unsigned i = 0; i < span->count; i++) {
        char name[VALUE_NAME_SIZE];
        struct push_item *item = &push->plan.items[span->first + i];
        if (item->clipped && !item->told_clipped)
            log_warn("push %s: %s.%s is %g, out of range for register %u; the nearest "
                     "number that fits is written",
                     push->config->name, item->write->terms[0].source,
                     value_format(&item->write->terms[0].value, name), item->sent_value,
                     item->write->address);
        item->told_clipped = item->clipped;
    }
    push_request_build(&target->request, ++target->transaction, (uint8_t) push->config->unit,
                       span->size == 1 && !push->writes_many, span->address, span->words,
                       span->size);
    const struct push_request *request = &target->request;
    log_frame("push >", request->bytes, request->size);
    /* It is far smaller than a socket's buffer, and no other is in flight: a socket that does not accept it whole is stuck. */
    const ssize_t n = send(target->fd, request->bytes, request->size, MSG_NOSIGNAL);
    if (n != (ssize_t) request->size) {
        close_connection(target, n < 0 ? strerror(errno) : "its socket does not accept data");
        return;
    }
    push->counters.requests++;
    timer_restart(target->loop, &target->timer, push->config->timeout_s);
}

static void handle_response(struct push_target *target, enum push_reply reply, uint8_t exception)
{
    struct push *push = target->asked;
    target->asked = NULL;
    ev_timer_stop(target->loop, &target->timer);
    target->answered = true;
    for (unsigned i = 0; i < target->count; i++) {
        struct push *other = &target->pushes[i];
        if (other->config->unit == push->config->unit) {
            other->answered = true;
            other->pause_s = other->not_before = 0;
        } else {
            other->others = true;
        }
    }
    report_answer(push);
    if (reply == PUSH_DONE) {
        push->counters.answers++;
        report_taken(&push->plan, &target->span);
        push_plan_done(&push->plan, &target->span);
    } else if (reply == PUSH_REFUSED && exception == MODBUS_EXCEPTION_ILLEGAL_FUNCTION &&
               target->span.size == 1 && (push->writes_many = !push->writes_many)) {
        /* A server may support only one of functions 6 and 16. For a single register the other
         * function is tried at once, and 6 again if both were refused. */
        push_plan_again(&push->plan, &target->span);
    } else {
        if (reply == PUSH_REFUSED)
            push->counters.exceptions++;
        else
            push->counters.malformed++;
        push_plan_refused(&push->plan, &target->span,
                          reply == PUSH_REFUSED ? exception : PUSH_NO_EXCEPTION, clock_now());
    }
    report_troubles(&push->plan, clock_now());
}

/* Handles all whole frames; false: the bytes cannot be Modbus TCP. */
static bool handle_frames(struct push_target *target)
{
    size_t taken = 0;
    while (taken < target->size) {
        const uint8_t *bytes = target->received + taken;
        struct mbap_span found = mbap_find(bytes, target->size - taken);
        if (found.kind == MBAP_BROKEN)
            return false;
        if (found.kind == MBAP_MORE)
            break;
        uint8_t exception = 0;
        enum push_reply reply = PUSH_FOREIGN;
        if (found.kind == MBAP_FRAME) {
            log_frame("push <", bytes, found.size);
            if (target->asked)
                reply = push_reply_check(&target->request, bytes, found.size, &exception);
        }
        if (reply == PUSH_FOREIGN)
            target->foreign++;
        else
            handle_response(target, reply, exception);
        taken += found.size;
    }
    memmove(target->received, target->received + taken, target->size - taken);
    target->size -= taken;
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct push_target *target = io->data;
    ssize_t n = recv(target->fd, target->received + target->size,
                     sizeof target->received - target->size, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_connection(target, n < 0 ? strerror(errno) : "it closed the connection");
        return;
    }
    target->size += (size_t) n;
    if (handle_frames(target))
        send_due(target, clock_now());
    else
        close_connection(target, "its response is not Modbus TCP");
}

static void on_opened(void *data, int fd)
{
    struct push_target *target = data;
    target->fd = fd;
    target->size = 0;
    target->connects++;
    ev_io_set(&target->readable, fd, EV_READ);
    ev_io_start(target->loop, &target->readable);
    /* The target may have been restarted and lost all values. */
    for (unsigned i = 0; i < target->count; i++) {
        push_plan_all(&target->pushes[i].plan);
        ev_timer_again(target->loop, &target->pushes[i].tick);
    }
    send_due(target, clock_now());
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct push_target *target = timer->data;
    if (target->fd < 0) {
        dial_start(&target->dial);
        return;
    }
    char why[60];
    snprintf(why, sizeof why, "no answer for %g s", target->asked->config->timeout_s);
    target->asked->counters.timeouts++;
    close_connection(target, why);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct push *push = timer->data;
    push_plan_all(&push->plan);
    send_due(push->target, clock_now());
}

/* Sends what is due before it returns, if the targets are ready. */
static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    const struct pushes *pushes = data;
    for (unsigned t = 0; t < pushes->count; t++) {
        struct push_target *target = pushes->targets[t];
        for (unsigned i = 0; i < target->count; i++) {
            push_plan_changes(&target->pushes[i].plan, source, now);
            report_troubles(&target->pushes[i].plan, now);
        }
        send_due(target, now);
    }
}

/* The target of a push, shared by all pushes to its host and port. */
static struct push_target *target_of(struct pushes *pushes, const struct push_config *config)
{
    static const struct dial_events events = {.opened = on_opened, .failed = close_connection};
    const unsigned most = packs_config(pushes->packs)->push_count;
    const char *address = config->target + strlen("tcp://");
    struct endpoint to;
    for (unsigned i = 0; i < pushes->count && endpoint_parse(address, &to); i++)
        if (strcasecmp(to.host, pushes->targets[i]->dial.to.host) == 0 &&
            to.port == pushes->targets[i]->dial.to.port)
            return pushes->targets[i];
    struct push_target *target = alloc_zeroed(1, sizeof *target);
    *target = (struct push_target){.loop = pushes->loop, .address = config->target, .fd = -1};
    target->pushes = alloc_zeroed(most, sizeof *target->pushes);
    dial_init(&target->dial, pushes->loop, address, &events, target);
    ev_init(&target->readable, on_readable);
    ev_init(&target->timer, on_timer);
    target->readable.data = target->timer.data = target;
    timer_restart(target->loop, &target->timer, 0); /* it connects as soon as the loop runs */
    pushes->targets[pushes->count++] = target;
    return target;
}

struct pushes *pushes_new(struct ev_loop *loop, struct packs *packs)
{
    const struct config *config = packs_config(packs);
    struct pushes *pushes = alloc_zeroed(1, sizeof *pushes);
    pushes->loop = loop;
    pushes->packs = packs;
    pushes->observer = (struct observer){.changed = on_changed, .data = pushes};
    packs_observe(packs, &pushes->observer);
    pushes->targets = alloc_zeroed(config->push_count, sizeof(struct push_target *));
    for (unsigned i = 0; i < config->push_count; i++) {
        const struct push_config *one = &config->pushes[i];
        struct push_target *target = target_of(pushes, one);
        struct push *push = &target->pushes[target->count++];
        *push = (struct push){.target = target, .config = one};
        push_plan_init(&push->plan, one, packs_find, packs, packs_started_at(packs), clock_now());
        ev_timer_init(&push->tick, on_tick, one->interval_s, one->interval_s);
        push->tick.data = push;
    }
    return pushes;
}

static json_t *push_object(const struct push_target *target, const struct push *push)
{
    unsigned barred = 0;
    for (unsigned i = 0; i < push->plan.count; i++)
        barred +=
            push->plan.items[i].state == PUSH_BARRED || push->plan.items[i].state == PUSH_IGNORED;
    json_t *object = json_pack("{s:s, s:s, s:i, s:b}", "name", push->config->name, "target",
                               push->config->target, "unit", (int) push->config->unit, "connected",
                               target->fd >= 0);
    json_count(object, "values", push->config->write_count);
    json_count(object, "not_taken", barred);
    json_count(object, "requests", push->counters.requests);
    json_count(object, "confirmed", push->counters.answers);
    json_count(object, "exceptions", push->counters.exceptions);
    json_count(object, "malformed", push->counters.malformed);
    json_count(object, "timeouts", push->counters.timeouts);
    json_count(object, "connections", target->connects);
    json_count(object, "failures", target->failures);
    const char *error =
        push->mute.told ? "its unit does not answer, other units do" : target->trouble;
    if (error[0])
        json_object_set_new(object, "error", json_string(error));
    return object;
}

json_t *pushes_status(const struct pushes *pushes)
{
    json_t *list = json_array();
    for (unsigned t = 0; t < pushes->count; t++)
        for (unsigned i = 0; i < pushes->targets[t]->count; i++)
            json_array_append_new(list,
                                  push_object(pushes->targets[t], &pushes->targets[t]->pushes[i]));
    return list;
}

static void free_target(struct push_target *target)
{
    if (target->asked)
        discard_unsent(target);
    ev_io_stop(target->loop, &target->readable);
    ev_timer_stop(target->loop, &target->timer);
    dial_stop(&target->dial);
    for (unsigned i = 0; i < target->count; i++) {
        struct push *push = &target->pushes[i];
        const struct push_counters *counters = &push->counters;
        if (target->connects + target->failures > 0)
            log_info("push %s: %u requests, %u confirmed, %u exceptions, %u malformed and %u "
                     "foreign answers, %u timeouts, %u connections, %u failed or ended",
                     push->config->name, counters->requests, counters->answers,
                     counters->exceptions, counters->malformed, target->foreign, counters->timeouts,
                     target->connects, target->failures);
        ev_timer_stop(target->loop, &push->tick);
        push_plan_close(&push->plan);
    }
    free(target->pushes);
    free(target);
}

void pushes_free(struct pushes *pushes)
{
    packs_unobserve(pushes->packs, &pushes->observer);
    for (unsigned i = 0; i < pushes->count; i++)
        free_target(pushes->targets[i]);
    free(pushes->targets);
    free(pushes);
}
