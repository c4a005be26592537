// SPDX-License-Identifier: MIT
/* A line: one port with one or more packs on it. */
#include "line.h"

#include "intake.h"
#include "lend.h"
#include "listener.h"
#include "port.h"
#include "reply.h"
#include "sieve.h"
#include "talk.h"
#include "turns.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_FIRST_S 0.5
#define BACKOFF_MOST_S 30.0
#define OTHER_DEVICE_S 5.0 /* away for longer: it may be another device that comes back */
#define DOWN_S 5.0         /* without an answer until a line that worked is worth a warning */
#define DEAF_S 30.0        /* nothing at all received while asking: open the port anew */
#define WATCH_S 1.0        /* longest wait of a talker's line without a look at the clock */
#define BUSY_S 0.25        /* a timer this late: what takes long does so for our own sake */
#define OVERSLEPT_S 2.0    /* a timer this late: the process was stopped, or the host slept */
#define AFRESH_S 5.0 /* between two openings for what may be late, if the one before helped, */
#define AFRESH_IN_VAIN_S 60.0 /* or if it did not */
#define HEARD_GAP_S 2.0       /* a master was held up, if it was silent for longer */
#define PAUSE_S 1.0           /* of another master, worth a note */
#define PAUSE_FACTOR 1.5
#define PATIENCE 3 /* times the usual, for an answer that may not come, */
#define PATIENCE_LEAST_S 0.4
#define PATIENT_EACH 4 /* and all its time each so many attempts */
#define FADING 0.98    /* of how long answers take */
#define AWAY_S 3.0     /* without any answer: who comes back may not be the only one */
#define WAKE_AGAIN_S 10.0
#define DOUBT_PAUSE_S 1.0 /* between two openings after foreign requests */
#define LATE_TIMES 3      /* the usual, for an answer that no new connection keeps away, */
#define LATE_MOST_S 2.0 /* and no more than so long behind the usual, where a loan waits for that */
#define HOLD_S 0.005    /* of silence behind a reply that is held for another one */
#define HEARD_OUT_S 0.02    /* of silence behind what nobody waited for, until it is looked at, */
#define HEARD_MOST_S 0.5    /* and until it is forgotten */
#define DISORDER_MARGIN 1.1 /* what is late may be a little later still */
#define DISORDER_MARGIN_S 0.1
#define DISORDER_KEPT_S 600 /* since it showed last */
#define DISORDER_TOLD_S 0.5 /* by how much, to be worth a word in the log */
#define LATE_TOLD_S 3600    /* replies that come late are worth a word once in so long */
#define ANSWERS_S 60        /* since it was heard last: the pack is there */
#define RESTLESS_S 0.3      /* longest wait for a line that will not be quiet between requests */

/*
 * What a line is doing. Every transition goes through enter():
 *
 *     CLOSED -> OPENING -> RESTING <-> ASKING         a port with packs that are asked
 *                       -> LISTENING                  one with a device that talks unasked
 *                          RESTING, LISTENING <-> LENT   somebody else's exchange
 *     any of them -> CLOSED                           lost, or given up to be opened anew
 */
enum line_state {
    LINE_CLOSED,   /* until the timer opens it; the timer rests before line_start */
    LINE_OPENING,  /* the port will say whether it opened */
    LINE_RESTING,  /* open, nothing in flight: until somebody is due and the line was quiet */
    LINE_ASKING,   /* a request is in flight: until it is answered or given up */
    LINE_LENT,     /* somebody else's exchange is under way: lend.h */
    LINE_LISTENING /* open; its device talks: until it did not for too long */
};

/* The request in flight, or what a talker is waited for. */
struct exchange_under_way {
    struct member *member; /* whose it is; for a talker, always it */
    struct order *order;   /* it is of this order; NULL: of a poll */
    struct bms_request request;
    double asked_at;
    double deadline;       /* for the reply to begin, or to go on after a part of it */
    double deadline_limit; /* however much comes */
    double begun_at;       /* when what may be a frame of the reply began; NaN: nothing */
    double give_up_at;     /* the deadline, or that of what has begun */
    double held_until;     /* its reply is there, and is believed then; NaN: not so */
    bool disturbed;        /* something came that was no whole frame */
    bool answered;         /* it is over, and was */
};

struct line {
    const struct line_config *config;
    struct ev_loop *loop;
    struct line_events events;
    void *data;
    struct port *port;
    unsigned baud;
    struct turns turns;
    struct intake intake;
    enum line_state state;
    ev_timer timer;   /* the next thing to do: ask, give up waiting, open again */
    double armed_for; /* when it is due */

    /* The port. */
    int fd;           /* -1: closed or opening */
    double backoff_s; /* 0: the port works, or was not tried yet */
    double started_at;
    double worked_at;     /* the last useful answer; NaN: none yet */
    double woken_at;      /* something came where nobody answered */
    double lost_at;       /* NaN: never, or closed when idle */
    double afresh_at;     /* opened anew for what may be late; NaN: never */
    bool afresh_helped;   /* what came then was not late */
    double unheard_since; /* asked, and nothing at all was received since; NaN: not so */
    bool opened;          /* once at least */
    bool asked, answered; /* since it was opened; answered: something useful came */
    bool reported_down;
    bool reported_late;
    double late_told_at; /* last */
    bool started;
    struct line_facts facts; /* all but `state` */

    /* What is asked. */
    struct order *orders; /* in the order in which they came */
    struct exchange_under_way flight;
    double quiet_since;     /* the last byte, or the end of the last exchange */
    unsigned gap_before_ms; /* of the protocol that it was in */
    double wanted_at;       /* since then a request waits for that; NaN: none waits */
    struct reply overheard; /* what came and was not waited for */
    double overheard_at;
    double disorder_s; /* it says things twice or out of order, by up to so long; 0: it does not */
    double disorder_shown_at; /* last */
    struct talk talk;
    double heard_at; /* with `listen`: the last byte, or the opening */
    double lag_s;    /* what the listener hears may be so old */
    struct reply reply;
    struct mask mask;
    struct lend lend;
    struct sieve sieve; /* what may still be answered */
    double doubted_at;  /* opened anew for the sake of a loan; NaN: never */
    TAILQ_HEAD(, line_tap) taps;

    /* `listen = yes`: somebody else asks. NULL: we do. */
    struct listener *listener;
    double *heard_until;            /* of each pack: silent by then, it is missed */
    double usual_pause_s;           /* between the master's rounds; 0: none that is known */
    double last_pause_s, paused_at; /* paused_at: its end; NaN: none yet */
};

static void advance(struct line *line, double now);
static void await_talker(struct line *line, double now);
static void await_master(struct line *line, double now);
static void watch_master(struct line *line, double now);
static void note_reply(struct line *line, double now);
static double next_due(const struct line *line, double now);

/* A pack that talks unasked is alone on its line; the configuration has seen to it. */
static bool talks(const struct line *line)
{
    return bms_talks(line->turns.list[0].poller->config->driver);
}

/* Nobody is asked: the device talks, or has another master. */
static bool hears(const struct line *line)
{
    return line->config->listen || talks(line);
}

/* The one place where a line changes from one state to another. */
static void enter(struct line *line, enum line_state state)
{
    static const unsigned from[] = {
        [LINE_CLOSED] = 1 << LINE_CLOSED | 1 << LINE_OPENING | 1 << LINE_RESTING |
                        1 << LINE_ASKING | 1 << LINE_LENT | 1 << LINE_LISTENING,
        [LINE_OPENING] = 1 << LINE_CLOSED,
        [LINE_RESTING] = 1 << LINE_OPENING | 1 << LINE_ASKING | 1 << LINE_LENT,
        [LINE_ASKING] = 1 << LINE_RESTING,
        [LINE_LENT] = 1 << LINE_RESTING | 1 << LINE_LISTENING,
        [LINE_LISTENING] = 1 << LINE_OPENING | 1 << LINE_LENT,
    };
    assert(from[state] >> line->state & 1);
    line->state = state;
}

static bool is_open(const struct line *line)
{
    return line->state >= LINE_RESTING;
}

static double wire_s(const struct line *line, size_t bytes)
{
    return (double) bytes * 10.0 / line->baud;
}

/* Protocols on one line have their own patience. */
static double usual_reply_s(const struct line *line, const struct poller *poller)
{
    unsigned own = poller->config->driver->line.reply_ms;
    unsigned least = port_least_reply_ms(line->port);
    return fmax(line->config->reply_ms ? line->config->reply_ms : own, least) / 1e3;
}

/* More than that, where they are known to come later. */
static double reply_s(const struct line *line)
{
    const struct poller *poller = line->flight.member->poller;
    return lateness_wait_s(&poller->lateness, usual_reply_s(line, poller));
}

/* A pack that does not answer should not cost its neighbours more than an answer takes. Now and then
 * it has all its time: it may have become slower. */
static double patience_s(const struct line *line)
{
    const struct poller *poller = line->flight.member->poller;
    double most = reply_s(line), usual = poller->answer_s;
    for (unsigned i = 0; usual == 0 && i < line->turns.count; i++)
        usual = line->turns.list[i].poller->answer_s;
    bool patient =
        line->flight.order || poller->lateness.trying || !poller_is_unsure(poller) || usual == 0;
    if (patient || poller->silent_cycles % PATIENT_EACH == PATIENT_EACH - 1)
        return most;
    /* What comes before the vital step only wakes the pack up. */
    bool vital = poller->config->driver->plan[poller->step].vital;
    double least = vital || poller->silent_cycles == 0 ? PATIENCE_LEAST_S : PATIENCE_LEAST_S / 2;
    least = fmax(least, port_least_reply_ms(line->port) / 1e3);
    return fmin(most, fmax(PATIENCE * usual, least));
}

static void arm(struct line *line, double at, double now)
{
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
    struct line_tap *tap, *next;
    for (tap = TAILQ_FIRST(&line->taps); tap; tap = next) {
        next = TAILQ_NEXT(tap, entry);
        tap->passed(tap->data, direction, bytes, size);
    }
}

/* ---- the port comes and goes ---- */

static void open_port(struct line *line)
{
    enter(line, LINE_OPENING);
    port_open(line->port);
}

static void report_down(struct line *line, const char *why, double now)
{
    if (line->events.down) {
        line->events.down(line->data, why);
    } else if (!line->reported_down && !(now - line->worked_at < DOWN_S)) {
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
    while (order && (order->looking || poller_is_due_first(order->poller)))
        order = order->next;
    return order;
}

/* An order is through: the pack is read anew, and whoever gave it hears. */
static void end_order(struct line *line, struct order *order, enum order_result result, double now)
{
    struct order **link = &line->orders;
    while (*link != order)
        link = &(*link)->next;
    *link = order->next;
    poller_hurry(order->poller, now);
    order->done(order->data, result);
}

static void end_orders(struct line *line, double now)
{
    line->flight.order = NULL;
    while (line->orders)
        end_order(line, line->orders,
                  line->orders->request.size > 0 ? ORDER_UNANSWERED : ORDER_TOO_LATE, now);
}

/* The order goes on, or its state is to be read back, or it is through. */
static void go_on_with(struct line *line, struct order *order, enum order_result result, double now)
{
    if (result == ORDER_LOOK && order->switches.sets)
        poller_look(order->poller, order->switches.setting, now);
    else if (result == ORDER_LOOK)
        poller_hurry(order->poller, now);
    else if (result != ORDER_PENDING)
        end_order(line, order, result, now);
}

static void settle_order(struct line *line, enum reply_state state, double now)
{
    struct order *order = line->flight.order;
    line->flight.order = NULL;
    go_on_with(line, order, order_settle(order, state, now), now);
}

/* A cycle of a pack is over: its order may have been waiting for that. */
static void look_back(struct line *line, const struct poller *poller, double now)
{
    struct order *order = line->orders;
    while (order && (!order->looking || order->poller != poller))
        order = order->next;
    if (order)
        go_on_with(line, order, order_look(order, now), now);
}

/* The request in flight will not be answered any more. */
static void break_off(struct line *line, double now)
{
    if (line->state != LINE_ASKING)
        return;
    mask_flush(&line->mask, &line->flight.member->poller->bms, &line->flight.request);
    sieve_over(&line->sieve, !isnan(line->flight.held_until), now);
    if (line->flight.order)
        settle_order(line, REPLY_WAITING, now);
    else if (!isnan(line->flight.held_until)) /* no other one follows any more */
        note_reply(line, now);
    else
        poller_unanswered(line->flight.member->poller, now);
}

static void end_loan(struct line *line, enum loan_result result, double now);

static void refuse_loans(struct line *line);

static void lose(struct line *line, const char *why, double now)
{
    /* Nobody had asked anything, and nobody wants to: some serial servers close what is idle. */
    bool idle = line->state == LINE_RESTING && !line->asked && next_due(line, now) > now;
    if (is_open(line)) {
        line->facts.since = now;
        intake_stop(&line->intake);
        port_close(line->port);
        line->fd = -1;
        line->lost_at = idle ? NAN : now;
    } else if (isnan(line->lost_at)) {
        line->lost_at = now; /* closed when idle or never open, and not to be had */
    }
    if (line->lend.current)
        end_loan(line, LOAN_LOST, now);
    break_off(line, now);
    enter(line, LINE_CLOSED);
    if (idle) {
        log_debug("line %s: %s", line->config->name, why);
        arm(line, fmax(now + BACKOFF_FIRST_S, next_due(line, now)), now);
        return;
    }
    /* A serial server that closes after each reply is opened again at once, even for orders: it
     * works that way. */
    if (line->answered) {
        line->backoff_s = 0;
    } else {
        /* One that worked a moment ago may just have closed because of a request that its pack does
         * not know. */
        if (now - line->worked_at < DOWN_S)
            line->backoff_s = 0;
        backoff_grow(&line->backoff_s, BACKOFF_FIRST_S, BACKOFF_MOST_S);
        end_orders(line, now);
        refuse_loans(line);
        report_down(line, why, now);
        snprintf(line->facts.trouble, sizeof line->facts.trouble, "%s", why);
        line->facts.trouble_at = now;
        line->facts.troubles++;
    }
    line->answered = false;
    arm(line, now + line->backoff_s, now);
}

/* Its own decision is no reason to wait any longer each time. */
static void open_anew(struct line *line, const char *why, double now)
{
    line->backoff_s = 0;
    lose(line, why, now);
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
    open_anew(line, why, now);
    return true;
}

static void on_opened(void *data, int fd)
{
    struct line *line = data;
    double now = clock_now();
    bool again = line->opened, other_device = now - line->lost_at > OTHER_DEVICE_S;
    line->fd = line->config->listen ? -1 : fd; /* what is written goes nowhere */
    line->asked = false;
    line->opened = true;
    line->facts.since = now;
    line->facts.openings++;
    line->quiet_since = -INFINITY;
    line->wanted_at = NAN;
    line->unheard_since = hears(line) ? now : NAN;
    line->heard_at = now;
    line->lag_s = 0;
    talk_opened(&line->talk, line->config->any_age || port_forgets(line->port), now);
    reply_clear(&line->reply);
    reply_clear(&line->overheard);
    for (unsigned i = 0; i < line->turns.count; i++) {
        struct poller *poller = line->turns.list[i].poller;
        poller->reconnects += again;
        if (port_forgets(line->port))
            poller_reopened(poller, now);
        line->turns.list[i].missing_since = NAN;
        if (other_device)
            poller_reset(poller, now);
    }
    log_debug("line %s: %s is open", line->config->name, line->config->port);
    intake_start(&line->intake, fd);
    if (line->listener)
        await_master(line, now);
    enter(line, hears(line) ? LINE_LISTENING : LINE_RESTING);
    if (line->listener)
        watch_master(line, now);
    else if (line->state == LINE_LISTENING)
        await_talker(line, now);
    else
        advance(line, now);
}

static void on_failed(void *data, const char *why)
{
    struct line *line = data;
    lose(line, why, clock_now());
}

/* The first useful answer ends what was said about a line that is down. */
static void note_answer(struct line *line, double now)
{
    if (line->state == LINE_ASKING && !(now - line->worked_at <= AWAY_S))
        turns_wake(&line->turns, line->flight.member->poller, now);
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
    note_answer(line, now);
    if (member->poller->first_at == now)
        turns_tell_way(&line->turns, member->poller, now);
    member_report_values(member, line->config->name, now);
    line->events.published(line->data, member->poller, now);
}

/* ---- what comes twice, or out of order ---- */

static void set_disorder(struct line *line, double disorder_s, double now)
{
    line->disorder_s = line->talk.disorder_s = disorder_s;
    for (unsigned i = 0; i < line->turns.count; i++)
        poller_distrust(line->turns.list[i].poller, now, disorder_s);
}

/* A reply has shown that it was on its way for so long, although nothing before it is missing. */
static void note_disorder(struct line *line, double late_s, double now)
{
    if (late_s > line->disorder_s / 2)
        line->disorder_shown_at = now;
    if (!(late_s > line->disorder_s))
        return;
    if (line->disorder_s < DISORDER_TOLD_S && late_s >= DISORDER_TOLD_S)
        log_warn("line %s: replies come twice or overtake one another, up to %.1f s late: packs "
                 "are asked not "
                 "more often than that",
                 line->config->name, late_s);
    set_disorder(line, late_s * DISORDER_MARGIN + DISORDER_MARGIN_S, now);
}

static void forget_disorder(struct line *line, double now)
{
    if (line->disorder_s == 0 || now - line->disorder_shown_at < DISORDER_KEPT_S)
        return;
    if (line->disorder_s >= DISORDER_TOLD_S)
        log_info("line %s: replies come once and in order again", line->config->name);
    set_disorder(line, 0, now);
}

static void overhear(struct line *line, const uint8_t *bytes, size_t size, double now)
{
    if (now - line->overheard_at > HEARD_MOST_S)
        reply_clear(&line->overheard);
    line->overheard_at = now;
    reply_append(&line->overheard, bytes, size);
}

/* When it will have been quiet for long enough; infinity: nothing came. */
static double thinking_at(const struct line *line)
{
    return line->overheard.size > 0 ? line->overheard_at + HEARD_OUT_S : INFINITY;
}

/* The line is quiet: what was that? True: a reply that came too late. */
static bool think_over(struct line *line, double now)
{
    bool late = false;
    if (line->state == LINE_RESTING)
        sieve_look(&line->sieve, line->overheard_at);
    for (unsigned i = 0; line->overheard.size > 0 && i < line->turns.count; i++) {
        struct poller *poller = line->turns.list[i].poller;
        if (poller_awaits_foreign(poller, now))
            continue;
        double late_s = poller_recognize(poller, line->overheard_at, &line->overheard);
        if (!isnan(late_s))
            note_disorder(line, late_s, now);
        late = isnan(late_s) && line->state == LINE_RESTING &&
               poller_overhears(poller, now, &line->overheard);
        if (!isnan(late_s) || late)
            break;
    }
    reply_clear(&line->overheard);
    return late;
}

/* ---- asking ---- */

/* As long as the slowest of them takes. */
static double longest_reply_s(const struct line *line)
{
    double longest = 0;
    for (unsigned i = 0; i < line->turns.count; i++) {
        const struct poller *poller = line->turns.list[i].poller;
        longest = fmax(longest, lateness_wait_s(&poller->lateness, usual_reply_s(line, poller)));
    }
    return longest;
}

/* For so long an answer is waited for that hardly comes. */
static double shortly_s(const struct line *line)
{
    double usual_s = longest_reply_s(line);
    return fmin(LATE_TIMES * usual_s, usual_s + LATE_MOST_S);
}

/* Where a loan waits for a pack of which an answer is open, it is asked at once, for once: another answer may settle that. If none does,
 * it is left in peace for a while first. */
static void settle_soon(struct line *line, double now)
{
    if (!line->lend.queue)
        return;
    for (unsigned i = 0; i < line->turns.count; i++) {
        struct poller *poller = line->turns.list[i].poller;
        if (!poller->in_cycle)
            poller->due = fmax(poller->due, sieve_rest_until(&line->sieve, poller));
    }
    for (struct poller *poller; (poller = sieve_to_ask(&line->sieve));)
        poller_tell_apart(poller, now);
}

/* When there is something of ours to ask; `now` at the earliest. */
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

/* A reply came too late to be waited for, and more of them may. */
static bool is_to_be_left(struct line *line, double now)
{
    bool doubts = false;
    for (unsigned i = 0; i < line->turns.count; i++)
        doubts |= poller_doubts(line->turns.list[i].poller);
    if (!doubts)
        return false;
    if (!port_forgets(line->port) ||
        !open_afresh(line, "replies come later than they are waited for", now))
        arm(line, now, now);
    return true;
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
        arm(line, ready_at, now);
        return false;
    }
    line->wanted_at = NAN;
    if (think_over(line, now) && is_to_be_left(line, now))
        return false;
    reply_clear(&line->reply);
    reply_clear(&line->overheard);
    if (intake_drain(&line->intake))
        return true;
    lose(line, errno ? strerror(errno) : "closed by the far end", now);
    return false;
}

static void ask(struct line *line, struct member *member, double now)
{
    struct bms_request shown = line->flight.request;
    forget_disorder(line, now);
    if (member->poller->bms.driver->wants_password) /* others are asked nothing secret */
        mask_sent(&member->poller->bms, shown.bytes, shown.size);
    show(line, '>', shown.bytes, shown.size);
    enter(line, LINE_ASKING);
    line->flight.member = member;
    line->flight.asked_at = now;
    line->asked = true;
    if (isnan(line->unheard_since))
        line->unheard_since = now;
    line->flight.deadline = now + wire_s(line, line->flight.request.size) + patience_s(line);
    line->flight.deadline_limit = line->flight.deadline + wire_s(line, BMS_FRAME_MAX);
    line->flight.give_up_at = line->flight.deadline;
    line->flight.begun_at = line->flight.held_until = NAN;
    line->flight.disturbed = false;
    sieve_ask(&line->sieve, member->poller, line->flight.request.bytes, line->flight.request.size,
              false, now);
    ssize_t sent = write(line->fd, line->flight.request.bytes, line->flight.request.size);
    line->facts.requests++;
    line->facts.sent += sent > 0 ? (size_t) sent : 0;
    if (sent == (ssize_t) line->flight.request.size)
        arm(line, line->flight.deadline, now);
    else /* not even these few bytes fit in: nobody has taken any for a long time */
        lose(line, sent < 0 && errno != EAGAIN ? strerror(errno) : "nothing can be sent", now);
}

static struct bms_moment local_time(void)
{
    const time_t wall = time(NULL);
    struct tm local;
    localtime_r(&wall, &local);
    return (struct bms_moment){local.tm_year + 1900, local.tm_mon + 1, local.tm_mday,
                               local.tm_hour,        local.tm_min,     local.tm_sec};
}

/* Sends the order's next request; false when there is none now. */
static bool ask_order(struct line *line, struct order *order, double now)
{
    const struct bms_moment local = local_time();
    enum order_result result = order_build(order, &local, now);
    if (result != ORDER_PENDING) {
        go_on_with(line, order, result, now);
        return false;
    }
    line->flight.order = order;
    line->flight.request = order->request;
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
    if (over) {
        turns_expect(&line->turns, now);
        look_back(line, member->poller, now);
    }
    if (poller_doubts(poller) && port_forgets(line->port) && line->disorder_s == 0)
        open_afresh(line, "a reply may have been that to an earlier request", now);
}

/* Sends the pack's next request; false when its cycle is over. */
static bool poll_pack(struct line *line, struct member *member, double now)
{
    bool published;
    member->poller->busy = turns_wait(&line->turns, member->poller, now);
    if (poller_request(member->poller, now, &line->flight.request, &published)) {
        if (published) /* the cycle was whole but for what a lost connection has ended */
            publish(line, member, now);
        ask(line, member, now);
        return true;
    }
    end_step(line, member, true, published, now);
    return false;
}

/* ---- lending ---- */

/* Whose secrets are to be looked for. */
static const struct bms *masked_bms(const struct line *line)
{
    for (unsigned i = 0; i < line->turns.count; i++)
        if (line->turns.list[i].poller->config->driver->mask)
            return &line->turns.list[i].poller->bms;
    return &line->turns.list[0].poller->bms;
}

/* Somebody else's request may set a password. What asks only is short, or has nothing behind its
 * head. */
static void show_foreign(struct line *line, const uint8_t *bytes, size_t size)
{
    enum { HEAD = 6 };
    uint8_t shown[LOAN_BYTES];
    if (size > sizeof shown)
        size = sizeof shown;
    memcpy(shown, bytes, size);
    mask_sent(masked_bms(line), shown, size);
    if (masked_bms(line)->driver->mask && size > HEAD)
        memset(shown + HEAD, 0, size - HEAD);
    show(line, '>', shown, size);
}

static void flush_foreign(struct line *line, const struct loan *loan)
{
    struct bms_request request = {.size = loan->size};
    if (request.size > sizeof request.bytes)
        request.size = sizeof request.bytes;
    memcpy(request.bytes, loan->bytes, request.size);
    mask_flush(&line->mask, masked_bms(line), &request);
}

static void end_loan(struct line *line, enum loan_result result, double now)
{
    flush_foreign(line, line->lend.current);
    line->gap_before_ms = masked_bms(line)->driver->line.gap_ms;
    line->quiet_since = now;
    struct loan *loan = lend_end(&line->lend, now);
    loan->done(loan->data, result);
}

static void refuse_loans(struct line *line)
{
    while (line->lend.queue) {
        struct loan *loan = line->lend.queue;
        lend_remove(&line->lend, loan);
        loan->done(loan->data, LOAN_NO_LINE);
    }
}

static void go_on_polling(struct line *line, double now)
{
    enter(line, talks(line) ? LINE_LISTENING : LINE_RESTING);
    if (line->state == LINE_LISTENING)
        await_talker(line, now);
    else
        advance(line, now);
}

/* The answer to what is left unanswered may still come. Over a new connection it does not; where there
 * is none, it is waited for all the longer. */
static bool may_forget(const struct line *line, double now)
{
    return port_forgets(line->port) && !(now - line->doubted_at < DOUBT_PAUSE_S);
}

static double loan_patience_s(const struct line *line, double now)
{
    return longest_reply_s(line) * (may_forget(line, now) ? 1 : LATE_TIMES);
}

static void settle_loan(struct line *line, bool doubtful, double now)
{
    if (doubtful && may_forget(line, now)) {
        line->doubted_at = now;
        line->answered = true; /* no fault of the port's */
        open_anew(line, "a foreign request was left unanswered, opening it again", now);
        return;
    }
    go_on_polling(line, now);
}

/* A request that says whom it is for is of no concern to the others. */
static bool may_be_for(const struct poller *poller, const struct loan *loan)
{
    const struct bms *bms = &poller->bms;
    int address = -1;
    if (!bms->driver->question || loan->size == 0)
        return true;
    struct bms_span span = bms->driver->question(bms, loan->bytes, loan->size, &address);
    bool whole = span.kind == BMS_FRAME && span.size == loan->size;
    return !whole || address < 0 || address == bms_address(bms);
}

/* Its answer, or a part of it, may come when one of ours is waited for. */
static void expect_late_answer(struct line *line)
{
    const struct loan *loan = line->lend.current;
    for (unsigned i = 0; i < line->turns.count; i++) {
        struct poller *poller = line->turns.list[i].poller;
        if (!may_be_for(poller, loan))
            continue;
        for (unsigned n = lend_unanswered(&line->lend, poller); n > 0; n--) {
            poller_note_foreign(poller, loan->bytes, loan->size, line->lend.begun_at);
            sieve_ask(&line->sieve, poller, loan->bytes, loan->size, true, line->lend.begun_at);
        }
    }
}

/* Waits until the loan is over. */
static void watch_loan(struct line *line, double now)
{
    double ask_at;
    if (!lend_is_over(&line->lend, now, &ask_at)) {
        arm(line, ask_at, now);
        return;
    }
    const uint8_t *his;
    const size_t size = sieve_end(&line->sieve, &his);
    if (size > 0) { /* what began like an answer of ours was none */
        struct loan *loan = line->lend.current;
        lend_received(&line->lend, &line->turns, his, size, longest_reply_s(line), now);
        loan->received(loan->data, his, size);
    }
    bool answered = lend_answered(&line->lend);
    if (!lend_settled(&line->lend))
        expect_late_answer(line);
    end_loan(line, answered ? LOAN_ANSWERED : LOAN_UNANSWERED, now);
    settle_loan(line, !answered, now);
}

/* The line is quiet: the first of those who wait has it, over a new connection if an answer of ours may have stood still
 * on its way. */
static void lend_out(struct line *line, double now)
{
    struct loan *loan = line->lend.queue;
    if (sieve_open_at(&line->sieve) > line->facts.since && may_forget(line, now)) {
        line->doubted_at = now;
        line->answered = true; /* no fault of the port's */
        open_anew(line, "an answer may still be on its way, opening it again to lend it", now);
        return;
    }
    enter(line, LINE_LENT);
    lend_begin(&line->lend, &line->turns, loan_patience_s(line, now), wire_s(line, loan->size),
               now);
    sieve_begin(&line->sieve, &line->lend);
    if (loan->begun)
        loan->begun(loan->data);
    if (line->lend.current != loan)
        return;
    arm(line, now, now);
    if (loan->size > 0)
        line_pass(line, loan, loan->bytes, loan->size);
}

bool line_pass(struct line *line, const struct loan *loan, const uint8_t *bytes, size_t size)
{
    if (line->lend.current != loan)
        return false;
    show_foreign(line, bytes, size);
    line->asked = true;
    ssize_t sent = write(line->fd, bytes, size);
    line->facts.sent += sent > 0 ? (size_t) sent : 0;
    line->facts.loans++;
    return sent == (ssize_t) size;
}

static void loan_received(struct line *line, const uint8_t *bytes, size_t size, double now)
{
    struct loan *loan = line->lend.current;
    const uint8_t *his;
    mask_received(&line->mask, masked_bms(line), bytes, size);
    size = sieve_take(&line->sieve, loan, bytes, size, now, &his);
    lend_received(&line->lend, &line->turns, his, size, longest_reply_s(line), now);
    if (loan->open_end)
        flush_foreign(line, loan);
    if (size > 0)
        loan->received(loan->data, his, size);
    if (line->state == LINE_LENT)
        watch_loan(line, now);
}

bool line_lend(struct line *line, struct loan *loan)
{
    if (line->config->listen || (talks(line) && !loan->open_end) ||
        (!is_open(line) && line->backoff_s > 0))
        return false;
    lend_add(&line->lend, loan);
    const double now = clock_now();
    const bool waits = ev_is_active(&line->timer) || ev_is_pending(&line->timer);
    bool idle = line->state == LINE_RESTING || line->state == LINE_LISTENING ||
                (line->state == LINE_CLOSED && line->started);
    if (idle && !(waits && line->armed_for <= now))
        arm(line, now, now);
    return true;
}

void line_take_back(struct line *line, struct loan *loan)
{
    const double now = clock_now();
    if (lend_remove(&line->lend, loan) || line->lend.current != loan)
        return;
    lend_orphan(&line->lend, loan_patience_s(line, now), now);
    if (line->armed_for > now) /* one that is due stays as it is, as in line_order */
        arm(line, now, now);
}

/* Asks whoever is next, or waits until somebody is. */
static void advance(struct line *line, double now)
{
    for (struct loan *late; (late = lend_expired(&line->lend, now));)
        late->done(late->data, LOAN_TOO_LATE);
    for (bool asked = false; !asked && line->state == LINE_RESTING;) {
        double short_s = shortly_s(line), silent_till = sieve_clear_at(&line->sieve, short_s);
        if (line->disorder_s > 0) /* what was answered may be answered once more */
            silent_till = fmax(silent_till, line->flight.asked_at + line->disorder_s);
        if (now < silent_till)
            settle_soon(line, now);
        double due = next_due(line, now);
        double lend_at = lend_next_at(&line->lend, &line->turns, due <= now, silent_till, now);
        /* The pack that a loan waits for is left in peace; the others need not be. */
        bool soon = now < silent_till && silent_till <= now + short_s &&
                    sieve_awaits(&line->sieve, turns_next(&line->turns, now)->poller);
        if (soon && !isinf(lend_at) && !next_order(line))
            due = INFINITY;
        if (fmin(due, lend_at) > now) {
            line->wanted_at = NAN;
            arm(line, fmin(fmin(due, lend_at), thinking_at(line)), now);
            return;
        }
        if (!make_ready(line, now))
            return;
        if (lend_at <= now && !next_order(line)) {
            lend_out(line, now);
            return;
        }
        struct order *order = next_order(line);
        asked = order ? ask_order(line, order, now)
                      : poll_pack(line, turns_next(&line->turns, now), now);
    }
}

static void report_lateness(struct line *line, const struct poller *slowest, double now)
{
    const struct pack_config *pack = slowest->config;
    double late_s = line->facts.late_s;
    log_warn("line %s: replies come %.1f s after the request, later than reply_timeout = %.1f s; "
             "set reply_timeout to at least %.1fs",
             line->config->name, late_s, usual_reply_s(line, slowest), lateness_timeout_s(late_s));
    if (pack->stale_fixed && pack->stale_after_s <= late_s)
        log_warn("line %s: %s has a stale_after of %.1f s: its values are too old when they come",
                 line->config->name, pack->name, pack->stale_after_s);
    line->late_told_at = now;
}

/* Replies that regularly come later than they are waited for: the values are true, but rare, and the remedy is a key of
 * the configuration. */
static void note_lateness(struct line *line, double now)
{
    const struct poller *slowest = NULL;
    line->facts.late_s = 0;
    for (unsigned i = 0; i < line->turns.count; i++) {
        const struct poller *poller = line->turns.list[i].poller;
        double late_s = lateness_regular_s(&poller->lateness, usual_reply_s(line, poller));
        if (late_s <= line->facts.late_s)
            continue;
        line->facts.late_s = late_s;
        slowest = poller;
    }
    if (slowest && !line->reported_late && now - line->late_told_at >= LATE_TOLD_S)
        report_lateness(line, slowest, now);
    else if (!slowest && line->reported_late)
        log_info("line %s: replies come within reply_timeout again", line->config->name);
    line->reported_late = slowest && (line->reported_late || line->late_told_at == now);
}

/* The exchange is over, one way or the other: a gap, then the next. The values of a cycle that ends
 * with it do not wait for the gap. */
static void finish_exchange(struct line *line, double now)
{
    struct member *member = line->flight.member;
    bool published;
    mask_flush(&line->mask, &member->poller->bms, &line->flight.request);
    sieve_over(&line->sieve, line->flight.answered, now);
    line->gap_before_ms = member->poller->config->driver->line.gap_ms;
    lend_pay(&line->lend, now);
    enter(line, LINE_RESTING);
    if (isnan(line->flight.held_until))
        line->quiet_since = now;
    note_lateness(line, now);
    member->poller->busy = turns_wait(&line->turns, member->poller, now);
    bool over = poller_over(member->poller, now, &published);
    end_step(line, member, over, published, now);
    advance(line, now);
}

/* Takes what the buffer holds; `silent`: nothing more is coming. */
static enum reply_state decode(struct line *line, bool silent, double now)
{
    struct poller *poller = line->flight.member->poller;
    struct reply_counters before = line->reply.counters;
    enum reply_state state =
        reply_decode(&line->reply, &poller->bms, &line->flight.request, silent, &poller->incoming);
    const struct reply_counters *after = &line->reply.counters;
    uint32_t damaged = after->damaged - before.damaged + after->invalid - before.invalid;
    poller->damaged += damaged;
    if (damaged > 0)
        poller_disturbed(poller, now);
    /* What others say, and an echo, are whole frames. */
    line->flight.disturbed |= damaged > 0 || after->skipped_bytes != before.skipped_bytes;
    line->flight.member->heard |= line->flight.disturbed;
    return state;
}

/* A part of the reply is followed by the rest, and what has begun in time is waited for to its
 * end. All else that comes, be it noise or what others on the bus say to one another, gives the
 * pack no more time. */
static void wait_on(struct line *line, bool is_part, bool consumed, double now)
{
    double later = fmin(now + reply_s(line), line->flight.deadline_limit);
    if (is_part)
        line->flight.deadline = fmax(line->flight.deadline, later);
    if (consumed || line->reply.size == 0)
        line->flight.begun_at = NAN;
    if (line->reply.size > 0 && isnan(line->flight.begun_at))
        line->flight.begun_at = now;
    line->flight.give_up_at = line->flight.begun_at <= line->flight.deadline
                                  ? fmax(line->flight.deadline, later)
                                  : line->flight.deadline;
    if (line->flight.give_up_at <= now)
        arm(line, now, now);
}

/* What passes keeps its order: behind the answer to one request there is none to an earlier one,
 * whichever pack that was for. */
static void note_reply(struct line *line, double now)
{
    double asked_at = line->flight.asked_at;
    struct poller *poller = line->flight.member->poller;
    think_over(line, now); /* of what is still awaited, that is */
    const bool retimed = poller->retimed;
    if (!poller_answered(poller, now))
        return;
    /* What is thrown away, as it comes at an unusual time, does not make that time a usual one. */
    if (retimed || !poller->retimed)
        poller->answer_s = fmax(poller->replied_at - asked_at, FADING * poller->answer_s);
    line->afresh_helped = true;
    for (unsigned i = 0; i < line->turns.count; i++)
        poller_settle(line->turns.list[i].poller, asked_at);
}

/* Whether the reply that is there is to be held for another one. The line has to be quiet for a moment in any case: what
 * stood still comes in one go. */
static bool hold(struct line *line, double now)
{
    struct poller *poller = line->flight.member->poller;
    line->flight.held_until = poller_suspects(poller, now, HOLD_S);
    if (isnan(line->flight.held_until))
        return false;
    line->flight.give_up_at = line->flight.held_until;
    line->quiet_since = now;
    arm(line, line->flight.held_until, now);
    return true;
}

/* What follows a reply that is held: another one to the same request shows that one of them is of another time. */
static void take_more(struct line *line, bool silent, double now)
{
    struct poller *poller = line->flight.member->poller;
    struct pack pack;
    pack_clear(&pack);
    while (reply_decode(&line->reply, &poller->bms, &line->flight.request, silent, &pack) ==
           REPLY_DONE) {
        double late_s = poller_late(poller, now, line->reply.hash);
        if (!isnan(late_s) && !poller_awaits_foreign(poller, now))
            note_disorder(line, late_s, now);
        if (!isnan(late_s))
            poller_contradicted(poller);
        pack_clear(&pack);
    }
}

static void take_reply(struct line *line, bool silent, double now)
{
    struct poller *poller = line->flight.member->poller;
    if (!isnan(line->flight.held_until)) {
        take_more(line, silent, now);
        if (now < line->flight.held_until)
            return;
        line->flight.answered = true;
        note_reply(line, now);
        finish_exchange(line, now);
        return;
    }
    struct reply_counters before = line->reply.counters;
    size_t received = line->reply.size;
    enum reply_state state = decode(line, silent, now);
    if (state == REPLY_WAITING && !silent) {
        const struct reply_counters *after = &line->reply.counters;
        uint32_t useless = after->foreign - before.foreign + after->invalid - before.invalid;
        wait_on(line, after->frames - before.frames > useless, line->reply.size < received, now);
        return;
    }
    poller->reply = state == REPLY_DONE ? line->reply.hash : 0;
    poller->replied_at = now;
    if (state == REPLY_DONE && !line->flight.order && hold(line, now)) {
        note_answer(line, now);
        take_reply(line, silent, now);
        return;
    }
    if (line->reply.size > 0)
        overhear(line, line->reply.bytes, line->reply.size, now);
    if (state != REPLY_WAITING)
        note_answer(line, now);
    line->flight.answered = state != REPLY_WAITING;
    if (line->flight.order) {
        settle_order(line, state, now);
    } else if (state == REPLY_DONE) {
        note_reply(line, now);
    } else if (state == REPLY_REFUSED) {
        poller_refused(poller, now);
    } else {
        /* Of one that answers now and then, what comes late may be pieces as well. */
        bool answers = now - poller->last_answer < ANSWERS_S;
        if (line->flight.disturbed || (line->flight.member->heard && answers))
            poller_disturbed(poller, now);
        if (poller->pass == PASS_TRIALS && !poller->garbled)
            turns_charge_try(&line->turns, line->flight.asked_at, now);
        poller_unanswered(poller, now);
        if (now - line->unheard_since > DEAF_S) {
            mask_flush(&line->mask, &poller->bms, &line->flight.request);
            sieve_over(&line->sieve, false, now);
            enter(line, LINE_RESTING);
            open_anew(line, "nothing was received, opening it again", now);
            return;
        }
    }
    finish_exchange(line, now);
}

static void watch_talker(struct line *line, double now)
{
    /* (fmin passes over what is not a number.) */
    arm(line, fmin(fmin(line->flight.deadline, now + WATCH_S), talk_until(&line->talk)), now);
}

/* For so long a talker may say nothing useful before that counts as silence. */
static void await_talker(struct line *line, double now)
{
    line->flight.deadline = now + line->flight.member->poller->config->stale_after_s;
    watch_talker(line, now);
}

/* A set of values that was said at that time or later. What is older than what was published already is passed over. */
static void take_set(struct line *line, double said_at, double now)
{
    struct member *member = line->flight.member;
    double age_s = talk_age_s(&line->talk, said_at, now);
    if (now - age_s < member->poller->published_at)
        pack_clear(&member->poller->incoming);
    else if (poller_heard(member->poller, now, age_s))
        publish(line, member, now);
}

static void release_set(struct line *line, double now)
{
    struct poller *poller = line->flight.member->poller;
    struct pack incoming = poller->incoming;
    double said_at = talk_release(&line->talk, &poller->recall, &poller->incoming);
    take_set(line, said_at, now);
    poller->incoming = incoming;
}

static void hear_set(struct line *line, double now)
{
    struct poller *poller = line->flight.member->poller;
    uint32_t hash = line->reply.hash;
    note_disorder(line, talk_late(&line->talk, &poller->recall, hash, now), now);
    double said_at = talk_said(&line->talk, &poller->recall, hash, now);
    if (!isnan(talk_until(&line->talk)))
        release_set(line, now);
    if (!isnan(said_at)) {
        take_set(line, said_at, now);
        return;
    }
    talk_hold(&line->talk, &poller->incoming, hash, now);
    pack_clear(&poller->incoming);
}

/* A talker's bytes: each complete set of values is a cycle. */
static void listen_in(struct line *line, double now)
{
    while (decode(line, false, now) == REPLY_DONE) {
        forget_disorder(line, now);
        hear_set(line, now);
        await_talker(line, now);
    }
}

static void miss_talker(struct line *line, double now)
{
    struct member *member = line->flight.member;
    poller_unheard(member->poller);
    note_miss(line, member, now);
    if (now - line->unheard_since > DEAF_S)
        open_anew(line, "nothing was received, opening it again", now);
    else
        await_talker(line, now);
}

/* ---- somebody else asks ---- */

static void await_master(struct line *line, double now)
{
    listener_reset(line->listener, now);
    for (unsigned i = 0; i < line->turns.count; i++)
        line->heard_until[i] = now + line->turns.list[i].poller->config->stale_after_s;
}

/* One of its packs has answered the line's master. */
static void on_overheard(void *data, struct poller *poller, double now)
{
    struct line *line = data;
    struct member *member = turns_find(&line->turns, poller);
    line->heard_until[member - line->turns.list] = now + poller_stale_after(poller);
    line->afresh_helped |= line->lag_s == 0;
    publish(line, member, now);
}

static void miss_pack(struct line *line, unsigned i, double now)
{
    struct member *member = &line->turns.list[i];
    line->heard_until[i] = now + poller_stale_after(member->poller);
    poller_unheard(member->poller);
    if (isnan(member->missing_since))
        member->missing_since = now;
    note_miss(line, member, now);
}

/* Looks on until something comes, and at who was not heard for too long. */
static void watch_master(struct line *line, double now)
{
    double next = fmin(now + WATCH_S, listener_wait(line->listener, now));
    for (unsigned i = 0; i < line->turns.count; i++) {
        if (now >= line->heard_until[i])
            miss_pack(line, i, now);
        next = fmin(next, line->heard_until[i]);
    }
    if (now - line->unheard_since > DEAF_S)
        open_anew(line, "nothing was received, opening it again", now);
    else
        arm(line, next, now);
}

/* A master that has its rounds is silent between them: two pauses that were alike, with less than
 * their length between them, are its habit. */
static void note_pause(struct line *line, double pause_s, double now)
{
    if (pause_s < PAUSE_S)
        return;
    const bool rhythm = now - pause_s - line->paused_at < pause_s;
    line->usual_pause_s = rhythm ? fmin(pause_s, line->last_pause_s) : 0;
    line->last_pause_s = pause_s;
    line->paused_at = now;
}

/* ---- events ---- */

/* The process was stopped or the host slept, and the far end may have gone on: what waits here, and
 * what it still holds, may be of any age. So may the orders: nobody expects them any more. */
static bool overslept(struct line *line, double now)
{
    double since = line->armed_for;
    for (unsigned i = 0; is_open(line) && now - since >= BUSY_S && i < line->turns.count; i++)
        poller_stood_still(line->turns.list[i].poller);
    if (!is_open(line) || now - since < OVERSLEPT_S)
        return false;
    open_anew(line, "what came in the meantime may be old, opening it again", now);
    line->lost_at = since;
    end_orders(line, now);
    return true;
}

/* Who talks was silent for longer than it ever is. */
static bool is_held_up(struct line *line, double now)
{
    double silence_s = now - line->heard_at, usual_s = HEARD_GAP_S;
    if (!line->listener) {
        if (!port_is_prompt(line->port) && talk_heard(&line->talk, now))
            return open_afresh(line, "it was silent, and what comes now may be old", now);
        line->afresh_helped |= line->talk.lag_s == 0;
        return false;
    }
    note_pause(line, silence_s, now);
    usual_s = fmax(usual_s, PAUSE_FACTOR * line->usual_pause_s);
    if (silence_s < usual_s) {
        line->afresh_helped |= line->lag_s == 0;
        return false;
    }
    line->lag_s = fmax(line->lag_s, silence_s);
    return open_afresh(line, "it was silent, and what comes now may be old", now);
}

/* Nobody is asked. Where nobody has answered for a while, these may be the replies that stood still
 * on their way: the line is back, and its packs are asked soon. */
static void hear_while_resting(struct line *line, const uint8_t *bytes, size_t size, double now)
{
    line->quiet_since = now;
    overhear(line, bytes, size, now);
    if (line->armed_for > thinking_at(line))
        arm(line, thinking_at(line), now);
    bool away = now - line->worked_at > AWAY_S && now - line->woken_at > WAKE_AGAIN_S;
    if (!away)
        return;
    line->woken_at = now;
    turns_wake(&line->turns, NULL, now);
    advance(line, now);
}

static void on_received(void *data, const uint8_t *bytes, size_t size)
{
    struct line *line = data;
    double now = clock_now();
    line->facts.received += size;
    if (overslept(line, now))
        return;
    bool listening = line->state == LINE_LISTENING;
    if (listening && is_held_up(line, now))
        return;
    line->heard_at = now;
    line->unheard_since = listening ? now : NAN;
    if (line->state == LINE_RESTING || line->state == LINE_ASKING)
        sieve_hear(&line->sieve, bytes, size, now);
    if (line->state == LINE_RESTING) {
        hear_while_resting(line, bytes, size, now);
        return;
    }
    if (line->state == LINE_LENT) {
        line->talk.heard_at = now; /* in its turn nobody talks */
        loan_received(line, bytes, size, now);
        return;
    }
    if (line->listener) {
        listener_take(line->listener, bytes, size, now, line->lag_s);
        if (line->state == LINE_LISTENING)
            watch_master(line, now);
        return;
    }
    mask_received(&line->mask, &line->flight.member->poller->bms, bytes, size);
    reply_append(&line->reply, bytes, size);
    if (listening)
        listen_in(line, now);
    else
        take_reply(line, false, now);
}

static void on_ended(void *data, const char *why)
{
    struct line *line = data;
    double now = clock_now();
    if (!overslept(line, now))
        lose(line, why, now);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct line *line = timer->data;
    double now = clock_now();
    if (overslept(line, now))
        return;
    switch (line->state) {
    case LINE_CLOSED:
        open_port(line);
        break;
    case LINE_OPENING:
        break;
    case LINE_RESTING:
        if (now < thinking_at(line) || !think_over(line, now) || !is_to_be_left(line, now))
            advance(line, now);
        break;
    case LINE_ASKING:
        if (now < line->flight.give_up_at)
            arm(line, line->flight.give_up_at, now);
        else
            take_reply(line, true, now);
        break;
    case LINE_LENT:
        watch_loan(line, now);
        break;
    case LINE_LISTENING:
        if (!line->listener && now >= talk_until(&line->talk))
            release_set(line, now);
        if (line->listener)
            watch_master(line, now);
        else if (line->lend.queue)
            lend_out(line, now);
        else if (now < line->flight.deadline)
            watch_talker(line, now);
        else
            miss_talker(line, now);
        break;
    }
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
    settings->listen = config->listen;
    settings->advertises = line->turns.list[0].poller->config->driver->advertises;
    snprintf(settings->key_file, sizeof settings->key_file, "%s", config->key_file);
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

static bool make_listener(struct line *line)
{
    static const struct listener_events events = {.heard = on_overheard, .show = show};
    struct poller **pollers = calloc(line->turns.count, sizeof(struct poller *));
    line->heard_until = calloc(line->turns.count, sizeof *line->heard_until);
    line->turns.listens = true;
    line->paused_at = NAN;
    for (unsigned i = 0; pollers && i < line->turns.count; i++)
        pollers[i] = line->turns.list[i].poller;
    if (pollers && line->heard_until)
        line->listener = listener_new(pollers, line->turns.count, line->baud, &events, line);
    free(pollers);
    return line->listener != NULL;
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
    lend_init(&line->lend);
    TAILQ_INIT(&line->taps);
    line->doubted_at = NAN;
    line->afresh_at = line->facts.since = line->facts.trouble_at = NAN;
    line->woken_at = -INFINITY;
    line->overheard_at = line->disorder_shown_at = line->late_told_at = -INFINITY;
    line->flight.held_until = NAN;
    talk_init(&line->talk);
    line->reply.strays = &line->overheard;
    mask_init(&line->mask, show, line);
    ev_init(&line->timer, on_timer);
    line->timer.data = line;
    line->port = turns_init(&line->turns, pollers, count) ? make_port(line) : NULL;
    if (!line->port) {
        line_free(line);
        return NULL;
    }
    intake_init(&line->intake, loop, line->baud, &intake_events, line);
    if (hears(line))
        line->flight.member = &line->turns.list[0];
    if (config->listen && !talks(line) && !make_listener(line)) {
        line_free(line);
        return NULL;
    }
    return line;
}

void line_free(struct line *line)
{
    if (!line)
        return;
    end_orders(line, clock_now());
    if (line->lend.current)
        end_loan(line, LOAN_LOST, clock_now());
    refuse_loans(line);
    for (struct line_tap *tap; (tap = TAILQ_FIRST(&line->taps));) {
        TAILQ_REMOVE(&line->taps, tap, entry);
        tap->gone(tap->data);
    }
    intake_stop(&line->intake);
    ev_timer_stop(line->loop, &line->timer);
    port_free(line->port);
    listener_free(line->listener);
    free(line->heard_until);
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
    if (line->config->listen)
        return false;
    if (!is_open(line) && line->backoff_s > 0)
        return false;
    struct order **last = &line->orders;
    while (*last)
        last = &(*last)->next;
    order->next = NULL;
    *last = order;
    /* From the loop, so that `done` never comes from within; a request in flight ends first. A timer that is due already
     * stays as it is: how late it comes tells whether the process was stopped. */
    const double now = order->queued_at = clock_now();
    const bool waits = ev_is_active(&line->timer) || ev_is_pending(&line->timer);
    bool idle = line->state == LINE_RESTING || (line->state == LINE_CLOSED && line->started);
    if (idle && !(waits && line->armed_for <= now))
        arm(line, now, now);
    return true;
}

void line_rebind(struct line *line, const struct line_config *config)
{
    line->config = config;
}

bool line_is_open(const struct line *line)
{
    return line && is_open(line);
}

void line_watch(struct line *line, struct line_tap *tap)
{
    TAILQ_INSERT_TAIL(&line->taps, tap, entry);
}

void line_unwatch(struct line *line, struct line_tap *tap)
{
    TAILQ_REMOVE(&line->taps, tap, entry);
}

struct line_facts line_facts(const struct line *line)
{
    struct line_facts facts = line->facts;
    facts.since = isnan(facts.since) ? line->started_at : facts.since;
    facts.signal_dbm = port_signal_dbm(line->port);
    facts.state = is_open(line)                 ? LINE_IS_OPEN
                  : line->state == LINE_OPENING ? LINE_IS_OPENING
                                                : LINE_IS_CLOSED;
    return facts;
}

const char *line_name(const struct line *line)
{
    return line->config->name;
}

const char *line_protocol(const struct line *line)
{
    return line->turns.list[0].poller->config->driver->name;
}
