// SPDX-License-Identifier: MIT
/*
 * Finds out which protocol answers on a port. Attempts at one baud rate share an open port and take
 * turns on a line, as packs do; each requests its vital values only. The answer to a single short
 * request may be chance, so the pack that sent it is then polled alone, for a whole cycle with the
 * settings of the protocol. A whole cycle has all values of the pack, such as its cells.
 */
#include "search.h"

#include "lines/line.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/timer.h"

#include <math.h>
#include <string.h>

#define SEARCH_S 18.0     /* within it, the list is gone through again for sleepers */
#define LIMIT_S 19.5      /* for all of it, whatever the port does */
#define AIR_SEARCH_S 50.0 /* the same over Bluetooth, where connecting alone takes seconds */
#define AIR_LIMIT_S 60.0
#define AIR_CONFIRM_S 25.0
#define CONFIRM_S 5.0        /* for a whole cycle */
#define CONFIRM_REPLY_MS 700 /* some protocols allow seconds, for the slowest of their boards */
#define NEVER_S 1000.0
#define DOWNS_MOST 3     /* a port that is lost so often will not stay */
#define GROUP_S 10.0     /* besides the attempts' own time: for a port that opens late */
#define NEAR_POLLS 2     /* the first request may only wake a pack up */
#define FAR_POLLS_MOST 3 /* one for each of the dialects that are met most */
#define FOUND_MOST 64

/* One that was found. */
struct catch
{
    struct attempt attempt;
    bool swept; /* the addresses beside it were gone through */
};

struct search {
    struct ev_loop *loop;
    struct search_events events;
    void *data;
    const struct line_config *wanted;
    enum search_extent extent;
    double started_at;
    struct attempt *attempts;
    size_t count;
    bool again; /* the list has been gone through */
    /* A search for all packs goes through the guesses of all drivers, then the other addresses of each protocol that has
     * answered, in its way, then all addresses of all protocols. */
    bool sweeps;  /* the list is this last one, */
    bool far_too; /* which was made */
    struct search_only only;
    struct catch found[FOUND_MOST];
    unsigned found_count;
    /* The attempts that share the port that is open: attempts[first] and so on. */
    size_t first;
    unsigned sharing, at;      /* their number, and the one whose turn it is */
    unsigned polls;            /* of this one so far */
    struct pack_config *packs; /* room for all attempts in these two */
    struct poller **pollers;
    struct line_config line_config;
    struct line *line;
    bool confirming;
    /* What comes next, outside of the line's own calls. */
    ev_timer timer;
    void (*next)(struct search *search);
    /* What passed, and what the port said. */
    size_t sent, received;
    bool unasked; /* some was received before anything was sent */
    unsigned downs;
    char why[200];
};

static void continue_with(struct search *search, void (*next)(struct search *search),
                          double seconds)
{
    search->next = next;
    timer_restart(search->loop, &search->timer, fmax(seconds, 0));
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct search *search = timer->data;
    search->next(search);
}

static bool is_on_air(const struct search *search)
{
    return search_attempts_on_air(search->wanted);
}

/* A search for the first pack has a time limit, and tries the usual addresses until then. */
static bool seeks_first(const struct search *search)
{
    return search->extent != SEARCH_ALL && search->found_count == 0;
}

static double seconds_left(const struct search *search, double limit_s, double air_s)
{
    return search->started_at + (is_on_air(search) ? air_s : limit_s) - clock_now();
}

static void close_port(struct search *search)
{
    line_free(search->line);
    search->line = NULL;
    for (unsigned i = 0; i < search->sharing; i++)
        poller_free(search->pollers[i]);
    search->sharing = 0;
}

static void fail(struct search *search, const char *why)
{
    ev_timer_stop(search->loop, &search->timer);
    close_port(search);
    search->events.done(search->data, NULL, why);
}

enum search_heard search_heard(const struct search *search)
{
    return search->sent == 0                  ? SEARCH_HEARD_CLOSED
           : search->unasked                  ? SEARCH_HEARD_TRAFFIC
           : search->received == 0            ? SEARCH_HEARD_NOTHING
           : search->received == search->sent ? SEARCH_HEARD_ECHO
                                              : SEARCH_HEARD_NOISE;
}

/* What a search that has found nothing says, by what it heard. */
static void give_up(struct search *search)
{
    static const char *const whys[] = {
        [SEARCH_HEARD_CLOSED] = "the port does not open",
        [SEARCH_HEARD_NOTHING] =
            "nothing answered; is the BMS awake, are both data wires the right "
            "way round, and is no other program on the port?",
        [SEARCH_HEARD_ECHO] = "nothing answered, only the requests' own echo came back; is the BMS "
                              "awake?",
        [SEARCH_HEARD_TRAFFIC] =
            "bytes came before anything was sent; does another device, such as "
            "an inverter, ask on this line?",
        [SEARCH_HEARD_NOISE] =
            "something was received, but nothing in a protocol that is known; is "
            "the baud rate right?",
    };
    enum search_heard heard = search_heard(search);
    if (heard == SEARCH_HEARD_CLOSED && search->received > 0)
        heard = SEARCH_HEARD_TRAFFIC;
    if (search->found_count > 0)
        fail(search, NULL);
    else if (heard == SEARCH_HEARD_NOTHING && is_on_air(search))
        fail(search, "it is connected, and nothing answered; is it a BMS, and does it want to be "
                     "paired (docs/bluetooth.md)?");
    else
        fail(search, whys[heard]);
}

static void give_up_port(struct search *search)
{
    fail(search, search->why);
}

static void go_on_from(struct search *search, size_t first);

static int address_of(const struct attempt *attempt)
{
    return bms_address_of(attempt->driver, attempt->guess.address);
}

static bool is_wanted(const struct search_only *only, const struct attempt *attempt)
{
    if (!bms_has_address(attempt->driver))
        return only->count <= 1; /* of several, none can be without one */
    for (unsigned i = 0; i < only->count; i++)
        if (only->addresses[i] == address_of(attempt))
            return true;
    return only->count == 0;
}

/* False: there is none yet. */
static bool first_request(const struct attempt *attempt, struct bms_request *request)
{
    const struct bms_driver *driver = attempt->driver;
    struct bms bms;
    const unsigned step = poller_first_vital(driver);
    bms_init(&bms, driver);
    bms.options.address = attempt->guess.address;
    bms.options.variant = attempt->guess.variant;
    bms.way = attempt->way;
    *request = (struct bms_request){0};
    return step < driver->steps && driver->build(&bms, step, request);
}

/* The vital request does not contain the address, and whatever answers one answers the other. */
static bool ask_the_same(const struct attempt *a, const struct attempt *b)
{
    struct bms_request first, second;
    return a->driver == b->driver && first_request(a, &first) && first_request(b, &second) &&
           first.size == second.size && memcmp(first.bytes, second.bytes, first.size) == 0;
}

/* Whether an attempt can bring nothing more beside what was found: that pack itself, or one that
 * could not share the line with it, as a serial line has one rate and one framing. */
static bool is_settled(const struct search *search, const struct attempt *attempt)
{
    if (!is_wanted(&search->only, attempt))
        return true;
    const bool serial = strncmp(search->wanted->port, "serial:", 7) == 0;
    for (unsigned i = 0; i < search->found_count; i++) {
        const struct attempt *found = &search->found[i].attempt;
        if (found->driver == attempt->driver && address_of(found) == address_of(attempt))
            return true;
        if (ask_the_same(found, attempt))
            return true;
        if (serial &&
            (found->baud != attempt->baud || strcmp(found->framing, attempt->framing) != 0))
            return true;
    }
    return bms_talks(attempt->driver) && search->found_count > 0;
}

/* From attempts[from] on. */
static void drop_settled(struct search *search, size_t from)
{
    size_t kept = from;
    for (size_t i = from; i < search->count; i++)
        if (!is_settled(search, &search->attempts[i]))
            search->attempts[kept++] = search->attempts[i];
    search->count = kept;
}

static void report_found(struct search *search)
{
    const struct attempt *attempt = &search->attempts[search->first];
    const struct poller *poller = search->pollers[0];
    struct search_found found = {
        .driver = attempt->driver,
        .options = poller->config->options,
        .baud = is_on_air(search) ? attempt->driver->line.baud : attempt->baud,
        .framing = attempt->framing,
        .values = &poller->values,
    };
    ev_timer_stop(search->loop, &search->timer);
    if (search->extent == SEARCH_FIRST) {
        search->events.done(search->data, &found, NULL);
        return;
    }
    search->events.found(search->data, &found);
    const bool only_its_like = search->extent == SEARCH_LINE && search->found_count == 0;
    struct catch *now = &search->found[search->found_count++];
    now->attempt = *attempt;
    now->attempt.way = poller->bms.way;
    now->swept = false;
    for (unsigned i = 0; i + 1 < search->found_count; i++)
        now->swept |= search->found[i].attempt.driver == now->attempt.driver;
    drop_settled(search, search->first + 1);
    search->again = false;
    if (search->found_count == FOUND_MOST || bms_talks(attempt->driver) || is_on_air(search))
        give_up(search); /* such a device has the line to itself */
    else
        go_on_from(search, only_its_like ? search->count : search->first + 1);
}

static void add_poller(struct search *search, const struct attempt *attempt)
{
    struct pack_config *pack = &search->packs[search->sharing];
    *pack = (struct pack_config){
        .name = "probe",
        .line = &search->line_config,
        .driver = attempt->driver,
        .options = {.address = attempt->guess.address,
                    .adr = -1,
                    .variant = attempt->guess.variant},
        .poll_s = NEVER_S,
        .stale_after_s = NEVER_S,
    };
    search->pollers[search->sharing] = poller_new(pack);
    search->pollers[search->sharing++]->bms.way = attempt->way;
}

static void announce(struct search *search)
{
    search->polls = 0;
    if (search->events.trying)
        search->events.trying(search->data, &search->attempts[search->first + search->at]);
}

static void try_next_port(struct search *search);
static void on_found(void *data, struct poller *poller, double now);
static void on_missed(void *data, struct poller *poller, double now);

static void on_down(void *data, const char *why)
{
    struct search *search = data;
    snprintf(search->why, sizeof search->why, "%s", why);
    search->downs++;
    if (search->sent == 0 || search->downs >= DOWNS_MOST)
        continue_with(search, give_up_port, 0);
}

static void on_passed(void *data, char direction, const uint8_t *bytes, size_t size)
{
    struct search *search = data;
    if (direction == '>') {
        search->sent += size;
    } else {
        search->received += size;
        search->unasked |= search->sent == 0;
        search->downs = 0;
        if (!search->confirming)
            search->line_config.gap_ms = ATTEMPT_GAP_MS;
    }
}

/* With the pollers that were added. */
static void open_port(struct search *search)
{
    static const struct line_events events = {
        .published = on_found, .missed = on_missed, .down = on_down, .passed = on_passed};
    search->line = line_new(search->loop, &search->line_config, search->pollers, search->sharing,
                            &events, search);
    line_start(search->line);
}

static void set_line(struct search *search, const struct attempt *attempt)
{
    search->line_config = *search->wanted;
    search->line_config.driver = attempt->driver;
    search->line_config.baud = attempt->baud;
    search->line_config.tries = 1;
    search->line_config.any_age = true;
}

/* About how long it takes if nothing answers. */
static double longest_s(const struct attempt *attempt, unsigned reply_ms)
{
    const double request_s = 20 * 10.0 / attempt->baud;
    if (bms_talks(attempt->driver))
        return ATTEMPT_LISTEN_S;
    return attempt->polls * ((reply_ms + ATTEMPT_GAP_MS) / 1e3 + request_s);
}

/* Whether they can share an open port, one after the other. */
static bool can_share(const struct attempt *a, const struct attempt *b)
{
    return !bms_talks(a->driver) && !bms_talks(b->driver) && a->baud == b->baud &&
           strcmp(a->framing, b->framing) == 0;
}

/* The attempts from `first` on that can share the port with it. */
static void try_port(struct search *search)
{
    const struct attempt *attempt = &search->attempts[search->first],
                         *end = search->attempts + search->count;
    double seconds = is_on_air(search) ? AIR_SEARCH_S : GROUP_S;
    set_line(search, attempt);
    search->line_config.reply_ms =
        search->sweeps ? ATTEMPT_SWEEP_MS : search_attempts_reply_ms(search->wanted, attempt);
    if (is_on_air(search))
        search->line_config.reply_ms = 0; /* as long as the port says */
    search->line_config.gap_ms = search->received > 0 ? ATTEMPT_GAP_MS : ATTEMPT_SILENT_GAP_MS;
    search->line_config.gap_set = true;
    search->confirming = false;
    const struct attempt *next = attempt;
    do {
        add_poller(search, next);
        search_attempts_shorten(search->pollers[search->sharing - 1]);
        seconds += 4 * longest_s(next, search->line_config.reply_ms);
        next++;
    } while (next < end && can_share(attempt, next));
    search->at = 0;
    open_port(search);
    announce(search);
    if (bms_talks(attempt->driver))
        continue_with(search, is_on_air(search) ? give_up : try_next_port,
                      is_on_air(search) ? seconds_left(search, LIMIT_S, AIR_LIMIT_S)
                                        : ATTEMPT_LISTEN_S);
    else if (seeks_first(search))
        continue_with(search, give_up, seconds_left(search, LIMIT_S, AIR_LIMIT_S));
    else
        continue_with(search, try_next_port, seconds);
}

/* The place of each driver's last guess at the usual rate, because the first guesses may have more
 * polls. */
static void list_far(struct search *search)
{
    search->far_too = search->sweeps = true;
    search->count = 0;
    for (size_t d = 0; bms_drivers[d]; d++) {
        struct attempt like = search_attempts_usual(search->wanted, bms_drivers[d]);
        unsigned polls = like.polls < FAR_POLLS_MOST ? like.polls : FAR_POLLS_MOST;
        if (bms_talks(like.driver))
            continue;
        if (search->only.count == 0)
            search->count +=
                search_attempts_sweep(&like, SWEEP_LAST, polls, search->attempts + search->count);
        for (unsigned i = 0; i < search->only.count; i++) {
            like.guess.address = search->only.addresses[i];
            like.polls = polls;
            if (like.guess.address >= like.driver->address.min &&
                like.guess.address <= like.driver->address.max)
                search->attempts[search->count++] = like;
        }
    }
    search_attempts_sort(search->wanted, search->attempts, search->count);
}

/* False: no attempt is left. */
static bool make_next_list(struct search *search)
{
    struct catch *next = search->found, *end = next + search->found_count;
    if (is_on_air(search)) /* a module has one BMS */
        return false;
    while (next < end && next->swept)
        next++;
    if (next < end) {
        next->swept = true;
        search->sweeps = false;
        search->count =
            search_attempts_sweep(&next->attempt, SWEEP_NEAR_LAST, NEAR_POLLS, search->attempts);
    } else if (!search->far_too && search->extent == SEARCH_ALL) {
        list_far(search);
    } else {
        return false;
    }
    drop_settled(search, 0);
    if (search->count == 0)
        return make_next_list(search);
    double seconds = 0;
    for (size_t i = 0; i < search->count; i++)
        seconds += longest_s(&search->attempts[i], ATTEMPT_SWEEP_MS);
    if (search->sweeps && search->events.widening)
        search->events.widening(search->data, seconds);
    return true;
}

static void go_on_from(struct search *search, size_t first)
{
    close_port(search);
    search->first = first;
    if (first == search->count) {
        search->first = 0;
        if (seeks_first(search)) {
            search->again = search->count > 0;
        } else if (!make_next_list(search)) {
            give_up(search);
            return;
        }
    }
    if (search->count == 0) { /* none of the usual addresses is wanted */
        give_up(search);
        return;
    }
    if (seeks_first(search) && search->again && seconds_left(search, SEARCH_S, AIR_SEARCH_S) < 0)
        give_up(search);
    else
        try_port(search);
}

static void try_next_port(struct search *search)
{
    go_on_from(search, search->first + search->sharing);
}

/* Some optional values took their time; the vital ones were there twice. */
static void end_confirmation(struct search *search)
{
    if (search_attempts_answered(search->pollers[0]))
        report_found(search);
    else
        try_next_port(search);
}

/* The poller stays: it may know which form of requests its pack answers. */
static void confirm(struct search *search)
{
    unsigned at = search->at;
    struct poller *poller = search->pollers[at];
    search->pollers[at] = search->pollers[0];
    search->pollers[0] = NULL;
    close_port(search);
    search->pollers[search->sharing++] = poller;
    search->first += at;
    const struct attempt *attempt = &search->attempts[search->first];
    poller->pace.due = 0;
    poller->complete = false;
    for (unsigned i = 0; i < attempt->driver->steps; i++) {
        poller->steps[i].due = 0;
        poller->steps[i].at = NAN;
    }
    set_line(search, attempt);
    search->line_config.reply_ms = attempt->driver->line.reply_ms;
    if (search->line_config.reply_ms > CONFIRM_REPLY_MS)
        search->line_config.reply_ms = CONFIRM_REPLY_MS;
    if (is_on_air(search))
        search->line_config.reply_ms = 0;
    search->confirming = true;
    const double confirm_s = is_on_air(search) ? AIR_CONFIRM_S : CONFIRM_S;
    open_port(search);
    continue_with(search, end_confirmation,
                  seeks_first(search) ? fmin(confirm_s, seconds_left(search, LIMIT_S, AIR_LIMIT_S))
                                      : confirm_s);
}

/* No more requests until the port is closed. */
static void hold(struct search *search, double now)
{
    for (unsigned i = 0; i < search->sharing; i++)
        search->pollers[i]->pace.due = now + NEVER_S;
}

static void on_found(void *data, struct poller *poller, double now)
{
    struct search *search = data;
    bool whole = search->confirming || bms_talks(poller->config->driver);
    if (search->confirming && !poller->complete)
        return; /* the vital values: its other values are requested next, in the same cycle */
    hold(search, now);
    if (!whole)
        continue_with(search, confirm, 0);
    else
        continue_with(search, pack_known(&poller->values, VOLTAGE_V) ? report_found : try_next_port,
                      0);
}

static void on_missed(void *data, struct poller *poller, double now)
{
    struct search *search = data;
    search->polls++;
    if (search->confirming) {
        hold(search, now);
        continue_with(search, try_next_port, 0);
    } else if (bms_talks(poller->config->driver)) {
        continue_with(search, try_next_port, 0);
    } else if (search_attempts_answered(poller)) {
        hold(search, now);
        continue_with(search, confirm, 0);
    } else if (search->polls < search->attempts[search->first + search->at].polls) {
        poller->pace.due = 0; /* before those that have not had their turn */
    } else if (search->at + 1 == search->sharing ||
               (search->again && seconds_left(search, SEARCH_S, AIR_SEARCH_S) < 0)) {
        hold(search, now);
        continue_with(search, try_next_port, 0);
    } else {
        search->at++;
        announce(search);
    }
}

struct search *search_new(struct ev_loop *loop, const struct line_config *line,
                          enum search_extent extent, const struct search_only *only,
                          const struct search_events *events, void *data)
{
    struct search *search = alloc_zeroed(1, sizeof *search);
    search->loop = loop;
    search->events = *events;
    search->data = data;
    search->wanted = line;
    search->extent = extent;
    if (only)
        search->only = *only;
    search->started_at = clock_now();
    ev_init(&search->timer, on_timer);
    search->timer.data = search;
    size_t most = search_attempts_list(line, NULL), drivers = 0;
    while (bms_drivers[drivers])
        drivers++;
    if (extent != SEARCH_FIRST && most < drivers * SWEEP_MOST)
        most = drivers * SWEEP_MOST;
    search->attempts = alloc_zeroed(most, sizeof *search->attempts);
    search->packs = alloc_zeroed(most, sizeof *search->packs);
    search->pollers = alloc_zeroed(most, sizeof(struct poller *));
    search->count = search_attempts_list(line, search->attempts);
    drop_settled(search, 0);
    continue_with(search, try_next_port, 0);
    return search;
}

void search_free(struct search *search)
{
    if (!search)
        return;
    ev_timer_stop(search->loop, &search->timer);
    close_port(search);
    free(search->attempts);
    free(search->packs);
    free(search->pollers);
    free(search);
}
