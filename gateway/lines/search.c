// SPDX-License-Identifier: MIT
/*
 * Finds out which protocol answers on a port. Attempts at one baud rate share an open port and take
 * turns on a line, as packs do: each asks for its vital values only. The answer to a single short
 * request may be chance, so that whoever gives one is then polled alone, for a whole cycle and at
 * the protocol's own settings.
 */
#include "search.h"

#include "line.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SEARCH_S 16.0        /* within it, the list is gone through again for sleepers */
#define LIMIT_S 19.0         /* for all of it, whatever the port does */
#define CONFIRM_S 5.0        /* for a whole cycle */
#define CONFIRM_REPLY_MS 700 /* some protocols allow seconds, for the slowest of their boards */
#define NEVER_S 1000.0
#define DOWNS_MOST 3 /* a port that is lost so often will not stay */

struct prober {
    struct ev_loop *loop;
    struct prober_events events;
    void *data;
    const struct line_config *wanted;
    double started_at;
    struct attempt *attempts;
    size_t count;
    bool again; /* the list has been gone through */
    /* The attempts that share the port that is open: attempts[first] and so on. */
    size_t first;
    unsigned sharing, at;      /* how many, and which of them asks */
    unsigned polls;            /* of this one so far */
    struct pack_config *packs; /* room for all attempts in these two */
    struct poller **pollers;
    struct line_config line_config;
    struct line *line;
    bool confirming;
    /* What comes next, outside of the line's own calls. */
    ev_timer timer;
    void (*next)(struct prober *prober);
    /* What passed, and what the port said. */
    size_t sent, received;
    unsigned downs;
    char why[200];
};

static void continue_with(struct prober *prober, void (*next)(struct prober *prober),
                          double seconds)
{
    prober->next = next;
    ev_timer_stop(prober->loop, &prober->timer);
    ev_timer_set(&prober->timer, fmax(seconds, 0), 0);
    ev_timer_start(prober->loop, &prober->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct prober *prober = timer->data;
    prober->next(prober);
}

static double seconds_left(const struct prober *prober, double limit_s)
{
    return prober->started_at + limit_s - clock_now();
}

static void close_port(struct prober *prober)
{
    line_free(prober->line);
    prober->line = NULL;
    for (unsigned i = 0; i < prober->sharing; i++)
        poller_free(prober->pollers[i]);
    prober->sharing = 0;
}

/* ---- the end ---- */

static void fail(struct prober *prober, const char *why)
{
    ev_timer_stop(prober->loop, &prober->timer);
    close_port(prober);
    prober->events.done(prober->data, NULL, why);
}

static void give_up(struct prober *prober)
{
    if (prober->received == 0)
        fail(prober, prober->sent == 0 ? "the port does not open"
                                       : "nothing answered; is the BMS awake, are both data wires "
                                         "the right way round, and is no "
                                         "other program on the port?");
    else if (prober->received == prober->sent)
        fail(prober, "nothing answered, only the requests' own echo came back; is the BMS awake?");
    else
        fail(prober, "something was received, but nothing in a protocol that is known; is the baud "
                     "rate right?");
}

static void give_up_port(struct prober *prober)
{
    fail(prober, prober->why);
}

static void report_found(struct prober *prober)
{
    const struct attempt *attempt = &prober->attempts[prober->first];
    const struct poller *poller = prober->pollers[0];
    struct prober_found found = {
        .driver = attempt->driver,
        .options = poller->config->options,
        .baud = attempt->baud,
        .framing = attempt->framing,
        .values = &poller->values,
    };
    ev_timer_stop(prober->loop, &prober->timer);
    prober->events.done(prober->data, &found, NULL);
}

/* ---- attempts on an open port ---- */

static struct poller *add_poller(struct prober *prober, const struct attempt *attempt)
{
    struct pack_config *pack = &prober->packs[prober->sharing];
    *pack = (struct pack_config){
        .name = "probe",
        .line = &prober->line_config,
        .driver = attempt->driver,
        .options = {.address = attempt->guess.address,
                    .adr = -1,
                    .variant = attempt->guess.variant},
        .poll_s = NEVER_S,
        .stale_after_s = NEVER_S,
    };
    struct poller *poller = poller_new(pack);
    if (poller)
        prober->pollers[prober->sharing++] = poller;
    return poller;
}

static void announce(struct prober *prober)
{
    prober->polls = 0;
    if (prober->events.trying)
        prober->events.trying(prober->data, &prober->attempts[prober->first + prober->at]);
}

static void try_next_port(struct prober *prober);
static void confirm(struct prober *prober);

static void on_found(void *data, struct poller *poller, double now);
static void on_missed(void *data, struct poller *poller, double now);

static void on_down(void *data, const char *why)
{
    struct prober *prober = data;
    snprintf(prober->why, sizeof prober->why, "%s", why);
    prober->downs++;
    if (prober->sent == 0 || prober->downs >= DOWNS_MOST)
        continue_with(prober, give_up_port, 0);
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    (void) bytes;
    struct prober *prober = data;
    if (direction == '>') {
        prober->sent += size;
    } else {
        prober->received += size;
        prober->downs = 0;
    }
}

/* With the pollers that were added. */
static bool open_port(struct prober *prober)
{
    static const struct line_events events = {
        .published = on_found, .missed = on_missed, .down = on_down, .passed = on_passed};
    if (prober->sharing == 0)
        return false;
    prober->line = line_new(prober->loop, &prober->line_config, prober->pollers, prober->sharing,
                            &events, prober);
    if (prober->line)
        line_start(prober->line);
    return prober->line != NULL;
}

static void set_line(struct prober *prober, const struct attempt *attempt)
{
    prober->line_config = *prober->wanted;
    prober->line_config.driver = attempt->driver;
    prober->line_config.baud = attempt->baud;
    prober->line_config.tries = 1;
}

/* The attempts from `first` on that can share the port with it. */
static void try_port(struct prober *prober)
{
    const struct attempt *attempt = &prober->attempts[prober->first],
                         *end = prober->attempts + prober->count;
    set_line(prober, attempt);
    prober->line_config.reply_ms = ATTEMPT_REPLY_MS;
    prober->line_config.gap_ms = ATTEMPT_GAP_MS;
    prober->line_config.gap_set = true;
    prober->confirming = false;
    const struct attempt *next = attempt;
    do {
        struct poller *poller = add_poller(prober, next);
        if (!poller)
            break;
        attempts_shorten(poller);
        next++;
    } while (next < end && attempts_alike(attempt, next));
    prober->at = 0;
    if (!open_port(prober)) {
        fail(prober, "out of memory");
        return;
    }
    announce(prober);
    if (bms_talks(attempt->driver))
        continue_with(prober, try_next_port, ATTEMPT_LISTEN_S);
    else
        continue_with(prober, give_up, seconds_left(prober, LIMIT_S));
}

static void go_on_from(struct prober *prober, size_t first)
{
    close_port(prober);
    prober->first = first;
    if (first == prober->count) {
        prober->first = 0;
        prober->again = true;
    }
    if (prober->again && seconds_left(prober, SEARCH_S) < 0)
        give_up(prober);
    else
        try_port(prober);
}

static void try_next_port(struct prober *prober)
{
    go_on_from(prober, prober->first + prober->sharing);
}

/* ---- confirmation ---- */

static void go_on_behind(struct prober *prober)
{
    go_on_from(prober, prober->first + 1);
}

/* Some optional values took their time; the vital ones were there twice. */
static void end_confirmation(struct prober *prober)
{
    if (attempts_answered(prober->pollers[0]))
        report_found(prober);
    else
        go_on_behind(prober);
}

/* The poller stays: it may have found out how its pack wants to be asked. */
static void confirm(struct prober *prober)
{
    unsigned at = prober->at;
    struct poller *poller = prober->pollers[at];
    prober->pollers[at] = prober->pollers[0];
    prober->pollers[0] = NULL;
    close_port(prober);
    prober->pollers[prober->sharing++] = poller;
    prober->first += at;
    const struct attempt *attempt = &prober->attempts[prober->first];
    poller->due = 0;
    for (unsigned i = 0; i < attempt->driver->steps; i++) {
        poller->steps[i].due = 0;
        poller->steps[i].at = NAN;
    }
    set_line(prober, attempt);
    prober->line_config.reply_ms = attempt->driver->line.reply_ms;
    if (prober->line_config.reply_ms > CONFIRM_REPLY_MS)
        prober->line_config.reply_ms = CONFIRM_REPLY_MS;
    prober->confirming = true;
    if (open_port(prober))
        continue_with(prober, end_confirmation, fmin(CONFIRM_S, seconds_left(prober, LIMIT_S)));
    else
        fail(prober, "out of memory");
}

/* ---- what the line tells ---- */

/* Nobody asks any more until the port is closed. */
static void hold(struct prober *prober, double now)
{
    for (unsigned i = 0; i < prober->sharing; i++)
        prober->pollers[i]->due = now + NEVER_S;
}

static void on_found(void *data, struct poller *poller, double now)
{
    struct prober *prober = data;
    bool whole = prober->confirming || bms_talks(poller->config->driver);
    hold(prober, now);
    if (!whole)
        continue_with(prober, confirm, 0);
    else
        continue_with(prober, pack_known(&poller->values, VOLTAGE_V) ? report_found : go_on_behind,
                      0);
}

static void on_missed(void *data, struct poller *poller, double now)
{
    struct prober *prober = data;
    prober->polls++;
    if (prober->confirming) {
        hold(prober, now);
        continue_with(prober, go_on_behind, 0);
    } else if (bms_talks(poller->config->driver)) {
        continue_with(prober, try_next_port, 0);
    } else if (attempts_answered(poller)) {
        hold(prober, now);
        continue_with(prober, confirm, 0);
    } else if (prober->polls < prober->attempts[prober->first + prober->at].polls) {
        poller->due = 0; /* before those that have not had their turn */
    } else if (prober->at + 1 == prober->sharing ||
               (prober->again && seconds_left(prober, SEARCH_S) < 0)) {
        hold(prober, now);
        continue_with(prober, try_next_port, 0);
    } else {
        prober->at++;
        announce(prober);
    }
}

/* ---- life ---- */

static bool make_list(struct prober *prober)
{
    size_t most = attempts_list(prober->wanted, NULL);
    prober->attempts = calloc(most, sizeof *prober->attempts);
    prober->packs = calloc(most, sizeof *prober->packs);
    prober->pollers = calloc(most, sizeof(struct poller *));
    if (!prober->attempts || !prober->packs || !prober->pollers)
        return false;
    prober->count = attempts_list(prober->wanted, prober->attempts);
    return true;
}

struct prober *prober_new(struct ev_loop *loop, const struct line_config *line,
                          const struct prober_events *events, void *data)
{
    struct prober *prober = calloc(1, sizeof *prober);
    if (!prober)
        return NULL;
    prober->loop = loop;
    prober->events = *events;
    prober->data = data;
    prober->wanted = line;
    prober->started_at = clock_now();
    ev_init(&prober->timer, on_timer);
    prober->timer.data = prober;
    if (!make_list(prober)) {
        prober_free(prober);
        return NULL;
    }
    continue_with(prober, try_port, 0);
    return prober;
}

void prober_free(struct prober *prober)
{
    if (!prober)
        return;
    ev_timer_stop(prober->loop, &prober->timer);
    close_port(prober);
    free(prober->attempts);
    free(prober->packs);
    free(prober->pollers);
    free(prober);
}
