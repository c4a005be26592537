// SPDX-License-Identifier: MIT
/* A line: one port with one or more packs on it. */
#include "line.h"

#include "intake.h"
#include "port.h"
#include "reply.h"
#include "turns.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0
#define OTHER_DEVICE_S 5.0 /* away for longer: it may be another device that comes back */
#define DOWN_S 5.0         /* without an answer until a line that worked is worth a warning */
#define DEAF_S 30.0        /* nothing at all received while asking: open the port anew */
#define WATCH_S 1.0        /* longest wait of a talker's line without a look at the clock */
#define OVERSLEPT_S 2.0    /* a timer this late: the process was stopped, or the host slept */
#define AFRESH_S 5.0 /* between two openings for what may be late, if the one before helped, */
#define AFRESH_IN_VAIN_S 60.0 /* or if it did not */
#define TALK_GAP_S 2.0        /* who talks each second was held up, if it was silent for longer */
#define PATIENCE 3            /* times the usual, for an answer that may not come, */
#define PATIENCE_LEAST_S 0.4
#define PATIENT_EACH 4 /* and all its time each so many attempts */
#define FADING 0.98    /* of how long answers take */
#define AWAY_S 3.0     /* without any answer: who comes back may not be the only one */
#define RESTLESS_S 0.3 /* longest wait for a line that will not be quiet between requests */

struct line {
    const struct line_config *config;
    struct ev_loop *loop;
    struct line_events events;
    void *data;
    struct port *port;
    unsigned baud;
    struct turns turns;
    struct intake intake;
    ev_timer timer;   /* the next thing to do: ask, give up waiting, open again */
    double armed_for; /* when it is due */
    int fd;           /* -1: not open */
    bool opening;
    double backoff_s; /* 0: the port works, or was not tried yet */
    double started_at;
    double worked_at;     /* the last useful answer; NaN: none yet */
    double lost_at;       /* NaN: never, or closed when idle */
    double afresh_at;     /* opened anew for what may be late; NaN: never */
    bool afresh_helped;   /* what came then was not late */
    double lag_s;         /* a talker's bytes may be so old */
    double heard_at;      /* the last byte, or the opening */
    double unheard_since; /* asked, and nothing at all was received since; NaN: not so */
    bool opened;          /* once at least */
    bool asked, answered; /* since it was opened; answered: something useful came */
    bool reported_down;
    bool started;
    struct order *orders;   /* orders to switch, in the order in which they came */
    struct order *ordering; /* whose request is in flight, and not one of a poll; NULL: none */
    struct member *asking;  /* whose request is in flight; for a talker, always it */
    struct bms_request request;
    double asked_at;
    double deadline;        /* for the reply to begin, or to go on after a part of it */
    double deadline_limit;  /* however much comes */
    double begun_at;        /* when what may be a frame of the reply began; NaN: nothing */
    double give_up_at;      /* the deadline, or that of what has begun */
    double quiet_since;     /* the last byte, or the end of the last exchange */
    unsigned gap_before_ms; /* of the protocol that it was in */
    double wanted_at;       /* since then a request waits for that; NaN: none waits */
    struct reply reply;
    struct mask mask;
};

static void advance(struct line *line);
static void await_talker(struct line *line, double now);
static double next_due(const struct line *line, double now);

/* A pack that talks unasked is alone on its line; the configuration has seen to it. */
static bool talks(const struct line *line)
{
    return bms_talks(line->turns.list[0].poller->config->driver);
}

static double wire_s(const struct line *line, size_t bytes)
{
    return (double) bytes * 10.0 / line->baud;
}

/* Protocols on one line have their own patience. */
static double reply_s(const struct line *line)
{
    unsigned own = line->asking->poller->config->driver->line.reply_ms;
    return (line->config->reply_ms ? line->config->reply_ms : own) / 1e3;
}

/* A pack that does not answer should not cost its neighbours more than an answer takes. Now and then
 * it has all its time: it may have become slower. */
static double patience_s(const struct line *line)
{
    const struct poller *poller = line->asking->poller;
    double most = reply_s(line), usual = poller->answer_s;
    for (unsigned i = 0; usual == 0 && i < line->turns.count; i++)
        usual = line->turns.list[i].poller->answer_s;
    bool patient = line->ordering || !poller_is_unsure(poller) || usual == 0;
    if (patient || poller->silent_cycles % PATIENT_EACH == PATIENT_EACH - 1)
        return most;
    /* What comes before the vital step only wakes the pack up. */
    bool vital = poller->config->driver->plan[poller->step].vital;
    double least = vital || poller->silent_cycles == 0 ? PATIENCE_LEAST_S : PATIENCE_LEAST_S / 2;
    return fmin(most, fmax(PATIENCE * usual, least));
}

static void arm(struct line *line, double at)
{
    double now = clock_now();
    line->armed_for = fmax(at, now);
    ev_timer_stop(line->loop, &line->timer);
    ev_timer_set(&line->timer, line->armed_for - now, 0);
    ev_timer_start(line->loop, &line->timer);
}

/* Bytes that may be shown go to the log and to whoever looks. */
static void show(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct line *line = data;
    if (log_enabled(LOG_LEVEL_DEBUG)) {
        char prefix[NAME_SIZE + 16];
        snprintf(prefix, sizeof prefix, "line %s: %c", line->config->name, direction);
        if (direction == '#')
            log_debug("%s %zu bytes of no whole frame are not shown", prefix, size);
        else
            log_frame(prefix, bytes, size);
    }
    if (line->events.passed)
        line->events.passed(line->data, direction, bytes, size);
}

/* ---- the port comes and goes ---- */

static void open_port(struct line *line)
{
    line->opening = true;
    port_open(line->port);
}

static void report_down(struct line *line, const char *why)
{
    if (line->events.down) {
        line->events.down(line->data, why);
    } else if (!line->reported_down && !(clock_now() - line->worked_at < DOWN_S)) {
        log_warn("line %s: %s: %s; trying again, at least every %.0f s", line->config->name,
                 line->config->port, why, BACKOFF_MOST_S);
        line->reported_down = true;
    } else {
        log_debug("line %s: %s", line->config->name, why);
    }
}

/* The next one to be sent; NULL: none. */
static struct order *next_order(const struct line *line)
{
    struct order *order = line->orders;
    while (order && order->looking)
        order = order->next;
    return order;
}

/* An order is through: the pack is read anew, and whoever gave it hears. */
static void end_order(struct line *line, struct order *order, enum order_result result)
{
    struct order **link = &line->orders;
    while (*link != order)
        link = &(*link)->next;
    *link = order->next;
    poller_hurry(order->poller, clock_now());
    order->done(order->data, result);
}

static void end_orders(struct line *line)
{
    line->ordering = NULL;
    while (line->orders)
        end_order(line, line->orders,
                  line->orders->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE);
}

/* The order goes on, or its state is to be read back, or it is through. */
static void go_on_with(struct line *line, struct order *order, enum order_result result)
{
    if (result == ORDER_LOOK)
        poller_hurry(order->poller, clock_now());
    else if (result != ORDER_PENDING)
        end_order(line, order, result);
}

static void settle_order(struct line *line, enum reply_state state)
{
    struct order *order = line->ordering;
    line->ordering = NULL;
    go_on_with(line, order, order_settle(order, state, clock_now()));
}

/* A cycle of a pack is over: its order may have been waiting for that. */
static void look_back(struct line *line, const struct poller *poller, double now)
{
    struct order *order = line->orders;
    while (order && (!order->looking || order->poller != poller))
        order = order->next;
    if (order)
        go_on_with(line, order, order_look(order, now));
}

/* The request in flight will not be answered any more. */
static void break_off(struct line *line, double now)
{
    if (!line->asking || talks(line))
        return;
    mask_flush(&line->mask, &line->asking->poller->bms, &line->request);
    if (line->ordering)
        settle_order(line, REPLY_WAITING);
    else
        poller_unanswered(line->asking->poller, now);
    line->asking = NULL;
}

/* Nobody had asked anything, and nobody wants to: some serial servers close what is idle. */
static bool is_idle(const struct line *line, double now)
{
    return line->fd >= 0 && !line->asked && !talks(line) && next_due(line, now) > now;
}

/* One that worked a moment ago may just have closed because of a request that its pack does not
 * know. */
static double longer_backoff(const struct line *line, double now)
{
    if (line->backoff_s == 0 || now - line->worked_at < DOWN_S)
        return BACKOFF_FIRST_S;
    return fmin(line->backoff_s * 2, BACKOFF_MOST_S);
}

static void lose(struct line *line, const char *why)
{
    double now = clock_now();
    bool idle = is_idle(line, now);
    if (line->fd >= 0) {
        intake_stop(&line->intake);
        port_close(line->port);
        line->fd = -1;
        line->lost_at = idle ? NAN : now;
    } else if (isnan(line->lost_at)) {
        line->lost_at = now; /* closed when idle or never open, and not to be had */
    }
    break_off(line, now);
    if (idle) {
        log_debug("line %s: %s", line->config->name, why);
        arm(line, fmax(now + BACKOFF_FIRST_S, next_due(line, now)));
        return;
    }
    /* A serial server that closes after each reply is opened again at once, even for orders: it
     * works that way. */
    if (line->answered) {
        line->backoff_s = 0;
    } else {
        line->backoff_s = longer_backoff(line, now);
        end_orders(line);
        report_down(line, why);
    }
    line->answered = false;
    arm(line, now + line->backoff_s);
}

/* Its own decision is no reason to wait any longer each time. */
static void open_anew(struct line *line, const char *why)
{
    line->backoff_s = 0;
    lose(line, why);
}

/* What comes may be the answer to an earlier request, or was held up on its way. Over a new
 * connection nothing comes that was under way before. A delay that is always there would be met
 * again: then it is tried rarely, and what comes is taken for as old as it can be. */
static bool open_afresh(struct line *line, const char *why, double now)
{
    double pause_s = line->afresh_helped ? AFRESH_S : AFRESH_IN_VAIN_S;
    if (now - line->afresh_at < pause_s)
        return false;
    line->afresh_at = now;
    line->afresh_helped = false;
    line->answered = true; /* no fault of the port's */
    open_anew(line, why);
    return true;
}

static void on_opened(void *data, int fd)
{
    struct line *line = data;
    double now = clock_now();
    bool again = line->opened, other_device = now - line->lost_at > OTHER_DEVICE_S;
    line->fd = fd;
    line->opening = line->asked = false;
    line->opened = true;
    line->quiet_since = -INFINITY;
    line->wanted_at = NAN;
    line->unheard_since = talks(line) ? now : NAN;
    line->heard_at = now;
    line->lag_s = 0;
    reply_clear(&line->reply);
    for (unsigned i = 0; i < line->turns.count; i++) {
        struct poller *poller = line->turns.list[i].poller;
        poller->reconnects += again;
        poller_reopened(poller, now);
        line->turns.list[i].missing_since = NAN;
        if (other_device)
            poller_reset(poller, now);
    }
    log_debug("line %s: %s is open", line->config->name, line->config->port);
    intake_start(&line->intake, fd);
    if (talks(line))
        await_talker(line, now);
    else
        advance(line);
}

static void on_failed(void *data, const char *why)
{
    struct line *line = data;
    line->opening = false;
    lose(line, why);
}

/* The first useful answer ends what was said about a line that is down. */
static void note_answer(struct line *line)
{
    double now = clock_now();
    if (!talks(line) && now - line->worked_at > AWAY_S)
        turns_wake(&line->turns, line->asking->poller, now);
    line->answered = true;
    line->worked_at = now;
    line->backoff_s = 0;
    if (line->reported_down)
        log_info("line %s: %s works again", line->config->name, line->config->port);
    line->reported_down = false;
}

static void note_miss(struct line *line, struct member *member, double now)
{
    turns_note_miss(member);
    if (line->events.missed)
        line->events.missed(line->data, member->poller, now);
    else
        turns_report_silence(&line->turns, line->config->name, line->started_at, now);
}

static void publish(struct line *line, struct member *member, double now)
{
    note_answer(line);
    member_report_values(member, line->config->name, now);
    line->events.published(line->data, member->poller, now);
}

/* ---- asking ---- */

/* When there is something to ask; `now` at the earliest. */
static double next_due(const struct line *line, double now)
{
    const struct poller *poller = turns_next(&line->turns, now)->poller;
    return next_order(line) || poller->in_cycle ? now : fmax(poller->due, now);
}

/* Silence that the protocol before and the next one want between them. */
static double gap_s(const struct line *line, const struct poller *next)
{
    if (line->config->gap_set)
        return line->config->gap_ms / 1e3;
    unsigned own = next->config->driver->line.gap_ms;
    return (own > line->gap_before_ms ? own : line->gap_before_ms) / 1e3;
}

/* A request waits until the line is quiet, but not for ever. What has come in the meantime is
 * thrown away. */
static bool make_ready(struct line *line, double now)
{
    if (isnan(line->wanted_at))
        line->wanted_at = now;
    const struct order *order = next_order(line);
    const struct poller *next = order ? order->poller : turns_next(&line->turns, now)->poller;
    double gap = gap_s(line, next);
    double ready_at = fmin(line->quiet_since + gap, line->wanted_at + gap + RESTLESS_S);
    if (now < ready_at) {
        arm(line, ready_at);
        return false;
    }
    line->wanted_at = NAN;
    reply_clear(&line->reply);
    if (intake_drain(&line->intake))
        return true;
    lose(line, errno ? strerror(errno) : "closed by the far end");
    return false;
}

static void ask(struct line *line, struct member *member, double now)
{
    show(line, '>', line->request.bytes, line->request.size);
    line->asking = member;
    line->asked_at = now;
    line->asked = true;
    if (isnan(line->unheard_since))
        line->unheard_since = now;
    line->deadline = now + wire_s(line, line->request.size) + patience_s(line);
    line->deadline_limit = line->deadline + wire_s(line, BMS_FRAME_MAX);
    line->give_up_at = line->deadline;
    line->begun_at = NAN;
    ssize_t sent = write(line->fd, line->request.bytes, line->request.size);
    if (sent == (ssize_t) line->request.size)
        arm(line, line->deadline);
    else /* not even these few bytes fit in: nobody has taken any for a long time */
        lose(line, sent < 0 && errno != EAGAIN ? strerror(errno) : "nothing can be sent");
}

/* Sends the order's next request; false when it is through without one. */
static bool ask_order(struct line *line, struct order *order, double now)
{
    bool late = order->request.size == 0 && now - order->given_at > ORDER_VALID_S;
    enum order_result result = late ? ORDER_TOO_LATE : order_build(order, now);
    if (result != ORDER_PENDING) {
        end_order(line, order, result);
        return false;
    }
    line->ordering = order;
    line->request = order->request;
    pack_clear(&order->poller->incoming);
    ask(line, turns_find(&line->turns, order->poller), now);
    return true;
}

static void end_step(struct line *line, struct member *member, bool over, bool published,
                     double now)
{
    const struct poller *poller = member->poller;
    if (published)
        publish(line, member, now);
    if (over && !poller->told) {
        turns_charge(&line->turns, poller->cycle_started, now);
        note_miss(line, member, now);
    }
    if (over)
        look_back(line, member->poller, now);
    if (poller_doubts(poller) && port_forgets(line->port))
        open_afresh(line, "a reply may have been that to an earlier request", now);
}

/* Sends the pack's next request; false when its cycle is over. */
static bool poll_pack(struct line *line, struct member *member, double now)
{
    bool published;
    member->poller->busy = turns_wait(&line->turns, member->poller, now);
    if (poller_request(member->poller, now, &line->request, &published)) {
        ask(line, member, now);
        return true;
    }
    end_step(line, member, true, published, now);
    return false;
}

static void advance(struct line *line)
{
    if (line->fd < 0 || line->asking)
        return;
    for (bool asked = false; !asked && line->fd >= 0;) {
        double now = clock_now();
        double due = next_due(line, now);
        if (due > now) {
            line->wanted_at = NAN;
            arm(line, due);
            return;
        }
        if (!make_ready(line, now))
            return;
        struct order *order = next_order(line);
        asked = order ? ask_order(line, order, now)
                      : poll_pack(line, turns_next(&line->turns, now), now);
    }
}

/* The exchange is over, one way or the other: a gap, then the next. The values of a cycle that ends
 * with it do not wait for the gap. */
static void finish_exchange(struct line *line, double now)
{
    struct member *member = line->asking;
    bool published;
    mask_flush(&line->mask, &member->poller->bms, &line->request);
    line->gap_before_ms = member->poller->config->driver->line.gap_ms;
    line->asking = NULL;
    line->quiet_since = now;
    member->poller->busy = turns_wait(&line->turns, member->poller, now);
    bool over = poller_over(member->poller, now, &published);
    end_step(line, member, over, published, now);
    advance(line);
}

/* Takes what the buffer holds; `silent`: nothing more is coming. */
static enum reply_state decode(struct line *line, bool silent)
{
    struct poller *poller = line->asking->poller;
    struct reply_counters before = line->reply.counters;
    enum reply_state state =
        reply_decode(&line->reply, &poller->bms, &line->request, silent, &poller->incoming);
    const struct reply_counters *after = &line->reply.counters;
    uint32_t damaged = after->damaged - before.damaged + after->invalid - before.invalid;
    poller->damaged += damaged;
    if (damaged > 0)
        poller_disturbed(poller, clock_now());
    /* What others say, and an echo, are whole frames. */
    line->asking->heard |= damaged > 0 || after->skipped_bytes != before.skipped_bytes;
    return state;
}

/* A part of the reply is followed by the rest, and what has begun in time is waited for to its
 * end. All else that comes, be it noise or what others on the bus say to one another, gives the
 * pack no more time. */
static void wait_on(struct line *line, bool is_part, bool consumed, double now)
{
    double later = fmin(now + reply_s(line), line->deadline_limit);
    if (is_part)
        line->deadline = fmax(line->deadline, later);
    if (consumed || line->reply.size == 0)
        line->begun_at = NAN;
    if (line->reply.size > 0 && isnan(line->begun_at))
        line->begun_at = now;
    line->give_up_at =
        line->begun_at <= line->deadline ? fmax(line->deadline, later) : line->deadline;
    if (line->give_up_at <= now)
        arm(line, now);
}

/* What passes keeps its order: behind the answer to one request there is none to an earlier one,
 * whichever pack that was for. */
static void note_reply(struct line *line, double now)
{
    double asked_at = line->asked_at;
    struct poller *poller = line->asking->poller;
    if (!poller_answered(poller, now))
        return;
    poller->answer_s = fmax(now - asked_at, FADING * poller->answer_s);
    line->afresh_helped = true;
    for (unsigned i = 0; i < line->turns.count; i++)
        poller_settle(line->turns.list[i].poller, asked_at);
}

static void take_reply(struct line *line, bool silent, double now)
{
    struct poller *poller = line->asking->poller;
    struct reply_counters before = line->reply.counters;
    size_t received = line->reply.size;
    enum reply_state state = decode(line, silent);
    if (state == REPLY_WAITING && !silent) {
        const struct reply_counters *after = &line->reply.counters;
        uint32_t useless = after->foreign - before.foreign + after->invalid - before.invalid;
        wait_on(line, after->frames - before.frames > useless, line->reply.size < received, now);
        return;
    }
    if (state != REPLY_WAITING)
        note_answer(line);
    if (line->ordering) {
        settle_order(line, state);
    } else if (state == REPLY_DONE) {
        note_reply(line, now);
    } else if (state == REPLY_REFUSED) {
        poller_refused(poller, now);
    } else {
        if (line->asking->heard)
            poller_disturbed(poller, now);
        if (poller->pass == PASS_TRIALS)
            turns_charge_try(&line->turns, line->asked_at, now);
        poller_unanswered(poller, now);
        if (now - line->unheard_since > DEAF_S) {
            mask_flush(&line->mask, &poller->bms, &line->request);
            line->asking = NULL;
            open_anew(line, "nothing was received, opening it again");
            return;
        }
    }
    finish_exchange(line, now);
}

static void watch_talker(struct line *line, double now)
{
    arm(line, fmin(line->deadline, now + WATCH_S));
}

/* For so long a talker may say nothing useful before that counts as silence. */
static void await_talker(struct line *line, double now)
{
    line->deadline = now + line->asking->poller->config->stale_after_s;
    watch_talker(line, now);
}

/* A talker's bytes: each complete set of values is a cycle. */
static void listen_in(struct line *line, double now)
{
    struct member *member = line->asking;
    while (decode(line, false) == REPLY_DONE) {
        if (poller_heard(member->poller, now, line->lag_s))
            publish(line, member, now);
        await_talker(line, now);
    }
}

static void miss_talker(struct line *line, double now)
{
    struct member *member = line->asking;
    poller_unheard(member->poller);
    note_miss(line, member, now);
    if (now - line->unheard_since > DEAF_S)
        open_anew(line, "nothing was received, opening it again");
    else
        await_talker(line, now);
}

/* ---- events ---- */

/* The process was stopped or the host slept, and the far end may have gone on: what waits here, and
 * what it still holds, may be of any age. So may the orders: nobody expects them any more. */
static bool overslept(struct line *line, double now)
{
    double since = line->armed_for;
    if (line->fd < 0 || now - since < OVERSLEPT_S)
        return false;
    open_anew(line, "what came in the meantime may be old, opening it again");
    line->lost_at = since;
    end_orders(line);
    return true;
}

/* A talker that was silent for longer than it ever is may have been held up on its way: what comes
 * then can be as old as the silence was long, and so can all that follows. A delay that was there
 * when the port was opened shows as well, since nothing came for so long. */
static bool is_held_up(struct line *line, double now)
{
    double silence_s = now - line->heard_at;
    if (silence_s < TALK_GAP_S) {
        line->afresh_helped |= line->lag_s == 0;
        return false;
    }
    line->lag_s = fmax(line->lag_s, silence_s);
    return open_afresh(line, "it was silent, and what comes now may be old", now);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct line *line = data;
    double now = clock_now();
    if (overslept(line, now))
        return;
    if (talks(line) && is_held_up(line, now))
        return;
    line->heard_at = now;
    line->unheard_since = talks(line) ? now : NAN;
    if (!line->asking) {
        line->quiet_since = now;
        return;
    }
    mask_received(&line->mask, &line->asking->poller->bms, bytes, size);
    reply_append(&line->reply, bytes, size);
    if (talks(line)) {
        listen_in(line, now);
        return;
    }
    take_reply(line, false, now);
}

static void on_ended(void *data, const char *why)
{
    struct line *line = data;
    if (!overslept(line, clock_now()))
        lose(line, why);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct line *line = timer->data;
    double now = clock_now();
    if (overslept(line, now))
        return;
    if (line->fd < 0)
        open_port(line);
    else if (!line->asking)
        advance(line);
    else if (talks(line) && now < line->deadline)
        watch_talker(line, now);
    else if (talks(line))
        miss_talker(line, now);
    else if (now < line->give_up_at)
        arm(line, line->give_up_at);
    else
        take_reply(line, true, now);
}

/* ---- life ---- */

static const struct intake_events intake_events = {.received = on_received, .ended = on_ended};
static const struct port_events port_events = {.opened = on_opened, .failed = on_failed};

/* The line's settings where it has its own, else what its first pack's protocol is used to. */
static void settle_settings(struct line *line, struct port_settings *settings)
{
    const struct line_config *config = line->config;
    const struct bms_line *usual = &line->turns.list[0].poller->config->driver->line;
    line->baud = settings->baud = config->baud ? config->baud : usual->baud;
    snprintf(settings->framing, sizeof settings->framing, "%s",
             config->framing[0] ? config->framing : usual->framing);
    settings->rts = config->rts;
}

static struct port *make_port(struct line *line)
{
    struct port_settings settings = {0};
    settle_settings(line, &settings);
    struct bms *simulated = calloc(line->turns.count, sizeof *simulated);
    if (!simulated)
        return NULL;
    for (unsigned i = 0; i < line->turns.count; i++)
        simulated[i] = line->turns.list[i].poller->bms;
    struct port *port =
        port_new(line->loop, line->config->port, &settings,
                 &(struct port_simulated){simulated, line->turns.count}, &port_events, line);
    free(simulated);
    return port;
}

struct line *line_new(struct ev_loop *loop, const struct line_config *config,
                      struct poller **pollers, unsigned count, const struct line_events *events,
                      void *data)
{
    struct line *line = calloc(1, sizeof *line);
    if (!line)
        return NULL;
    line->config = config;
    line->loop = loop;
    line->events = *events;
    line->data = data;
    line->fd = -1;
    line->worked_at = line->lost_at = line->unheard_since = line->wanted_at = NAN;
    line->afresh_at = NAN;
    mask_init(&line->mask, show, line);
    ev_init(&line->timer, on_timer);
    line->timer.data = line;
    line->port = turns_init(&line->turns, pollers, count) ? make_port(line) : NULL;
    if (!line->port) {
        line_free(line);
        return NULL;
    }
    intake_init(&line->intake, loop, line->baud, &intake_events, line);
    if (talks(line))
        line->asking = &line->turns.list[0];
    return line;
}

void line_free(struct line *line)
{
    if (!line)
        return;
    end_orders(line);
    intake_stop(&line->intake);
    ev_timer_stop(line->loop, &line->timer);
    port_free(line->port);
    turns_close(&line->turns);
    free(line);
}

void line_start(struct line *line)
{
    if (line->started)
        return;
    line->started = true;
    line->started_at = clock_now();
    open_port(line);
}

bool line_order(struct line *line, struct order *order)
{
    if (line->fd < 0 && line->backoff_s > 0)
        return false;
    struct order **last = &line->orders;
    while (*last)
        last = &(*last)->next;
    order->next = NULL;
    *last = order;
    /* From the loop, so that `done` never comes from within; a request in flight ends first. A timer that is due already
     * stays as it is: how late it comes tells whether the process was stopped. */
    const double now = clock_now();
    const bool waits = ev_is_active(&line->timer) || ev_is_pending(&line->timer);
    if (!line->asking && !line->opening && !(waits && line->armed_for <= now))
        arm(line, now);
    return true;
}

void line_rebind(struct line *line, const struct line_config *config)
{
    line->config = config;
}

bool line_is_open(const struct line *line)
{
    return line && line->fd >= 0;
}

const char *line_name(const struct line *line)
{
    return line->config->name;
}
