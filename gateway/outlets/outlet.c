// SPDX-License-Identifier: MIT
/* The inside of an outlet. */
#include "outlet.h"
#include "memory.h"

#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONFIG_WAIT_MS 10000
#define TURN_MESSAGES 256 /* at most so many a turn, before timers and sockets are served */
#define REQUESTS_MAX 32   /* orders in flight, and questions */
#define ANSWER_MOST (64 * 1024 * 1024)

struct note {
    struct pipe_note note;
    struct note *next;
};

/* An order or a question that the gateway has not answered yet. */
struct request {
    uint64_t number; /* of this process; 0: free */
    double until; /* then it counts as unanswered: the gateway drops an answer if this process has
                      * read none of its messages for long */
    uint64_t ticket;
    void *data;
    void (*ordered)(void *data, uint64_t ticket, enum order_result result); /* an order's */
    void (*answered)(void *data, uint64_t ticket, const char *text, size_t size);
};

struct outlet {
    const struct outlet_kind *kind;
    void *self;
    struct ev_loop *loop;
    int fd;
    ev_io readable;
    ev_timer second, deadline;
    ev_async asked; /* by a signal */
    struct late_turn_watcher watcher;
    struct pipe_config config;
    struct outlet_pack *packs;
    TAILQ_HEAD(, observer) observers;
    struct note *notes;
    struct request orders[REQUESTS_MAX], questions[REQUESTS_MAX];
    uint64_t request_count; /* since the start */
    double heard_at;
    bool ending, gone;
    uint8_t *room; /* for messages */
};

struct ev_loop *outlet_loop(const struct outlet *outlet)
{
    return outlet->loop;
}

const struct pipe_config *outlet_config(const struct outlet *outlet)
{
    return &outlet->config;
}

struct outlet_pack *outlet_pack(struct outlet *outlet, unsigned n)
{
    return n < outlet->config.pack_count ? &outlet->packs[n] : NULL;
}

struct outlet_pack *outlet_pack_of(struct outlet *outlet, const struct source *source)
{
    for (unsigned i = 0; i < outlet->config.pack_count; i++)
        if (&outlet->packs[i].source == source)
            return &outlet->packs[i];
    return NULL;
}

bool outlet_hears(const struct outlet *outlet, double now)
{
    return now - outlet->heard_at < OUTLET_DEAF_S;
}

bool outlet_fresh(const struct outlet *outlet, const struct outlet_pack *pack, double now)
{
    return source_fresh(&pack->source, now) && outlet_hears(outlet, now);
}

double outlet_age(const struct outlet_pack *pack, double now)
{
    return pack->source.status.age_s + (now - pack->last.at);
}

void outlet_observe(struct outlet *outlet, struct observer *observer)
{
    TAILQ_INSERT_TAIL(&outlet->observers, observer, entry);
}

/* ---- notes ---- */

static struct note *find_note(const struct outlet *outlet, const char *key)
{
    for (struct note *note = outlet->notes; note; note = note->next)
        if (strcmp(note->note.key, key) == 0)
            return note;
    return NULL;
}

const char *outlet_note(const struct outlet *outlet, const char *key)
{
    const struct note *note = find_note(outlet, key);
    return note && note->note.text[0] ? note->note.text : NULL;
}

const char *outlet_note_at(const struct outlet *outlet, unsigned n, const char **key)
{
    for (const struct note *note = outlet->notes; note; note = note->next)
        if (note->note.text[0] && n-- == 0) {
            *key = note->note.key;
            return note->note.text;
        }
    return NULL;
}

static struct note *set_note(struct outlet *outlet, const char *key, const char *text)
{
    struct note *note = find_note(outlet, key);
    if (!note) {
        note = calloc(1, sizeof *note);
        if (!note)
            return NULL;
        snprintf(note->note.key, sizeof note->note.key, "%s", key);
        note->next = outlet->notes;
        outlet->notes = note;
    }
    snprintf(note->note.text, sizeof note->note.text, "%s", text);
    return note;
}

/* ---- to the gateway ---- */

/* In a late turn, what a client asks for may be old: nothing is asked of the gateway then. */
static bool is_late(const struct outlet *outlet, double now)
{
    return late_turn_is_on(outlet->loop, now);
}

/* Never waits. A message that the gateway does not take is small and rare: it is logged. */
static bool transmit_file(struct outlet *outlet, struct pipe_message *message, int file)
{
    size_t size = pipe_finish(message);
    if (size > 0 && pipe_send_file(outlet->fd, message->bytes, size, file))
        return true;
    log_debug("outlet %s: the gateway did not accept a message: %s", outlet->kind->name,
              size ? strerror(errno) : "too large");
    return false;
}

static bool transmit(struct outlet *outlet, struct pipe_message *message)
{
    return transmit_file(outlet, message, -1);
}

void outlet_keep(struct outlet *outlet, const char *key, const char *text)
{
    const char *before = outlet_note(outlet, key);
    if (text ? before && strcmp(before, text) == 0 : !before)
        return;
    struct note *note = set_note(outlet, key, text ? text : "");
    if (!note)
        return;
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_NOTE, bytes, sizeof bytes);
    pipe_note(&message, &note->note);
    transmit(outlet, &message);
}

void outlet_report(struct outlet *outlet, const struct pipe_report *report)
{
    struct pipe_report copy = *report;
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_REPORT, bytes, sizeof bytes);
    pipe_report(&message, &copy);
    transmit(outlet, &message);
}

/* The request in flight with a number; 0: a free place. */
static struct request *find_request(struct request list[REQUESTS_MAX], uint64_t number)
{
    for (struct request *at = list; at < list + REQUESTS_MAX; at++)
        if (at->number == number)
            return at;
    return NULL;
}

static void finish_request(struct request *request, enum order_result result, const char *text,
                           size_t size)
{
    const struct request found = *request;
    request->number = 0;
    if (found.ordered)
        found.ordered(found.data, found.ticket, result);
    else
        found.answered(found.data, found.ticket, text, size);
}

bool outlet_order(struct outlet *outlet, const struct outlet_pack *pack,
                  const struct switches *what,
                  void (*done)(void *data, uint64_t ticket, enum order_result result), void *data,
                  uint64_t ticket)
{
    const double now = clock_now();
    struct request *request = find_request(outlet->orders, 0);
    if (!request || is_late(outlet, now))
        return false;
    struct pipe_order order = {
        .ticket = ++outlet->request_count, .pack = pack->index, .what = *what};
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_ORDER, bytes, sizeof bytes);
    pipe_order(&message, &order);
    if (!transmit(outlet, &message))
        return false;
    *request = (struct request){order.ticket, now + OUTLET_ORDER_S, ticket, data, .ordered = done};
    return true;
}

bool outlet_ask(struct outlet *outlet, const char *what,
                void (*done)(void *data, uint64_t ticket, const char *text, size_t size),
                void *data, uint64_t ticket)
{
    const double now = clock_now();
    struct request *request = find_request(outlet->questions, 0);
    if (!request || is_late(outlet, now))
        return false;
    struct pipe_question question = {.ticket = ++outlet->request_count};
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_QUESTION, bytes, sizeof bytes);
    pipe_question(&message, &question);
    const int text = pipe_text_file(what, strlen(what));
    const bool sent = text >= 0 && transmit_file(outlet, &message, text);
    if (text >= 0)
        close(text);
    if (!sent)
        return false;
    *request =
        (struct request){question.ticket, now + OUTLET_ANSWER_S, ticket, data, .answered = done};
    return true;
}

/* ---- from the gateway ---- */

static void notify_observers(struct outlet *outlet, const struct source *source, unsigned changes,
                             double now)
{
    struct observer *observer;
    TAILQ_FOREACH(observer, &outlet->observers, entry)
    observer->changed(observer->data, source, changes, now);
}

static void handle_values(struct outlet *outlet, struct pipe_message *message)
{
    struct pipe_values values = {0};
    pipe_values(message, &values);
    if (!pipe_over(message) || values.pack >= outlet->config.pack_count)
        return;
    struct outlet_pack *pack = &outlet->packs[values.pack];
    if (values.whole)
        pack->values = values.values;
    pack->last = values;
    pack->source.status = values.status;
    pack->source.status.pack_name = pack->facts.name;
    pack->source.status.driver = values.driver[0] ? pack->last.driver : NULL;
    pack->source.status.driver_title = values.driver_title[0] ? pack->last.driver_title : NULL;
    pack->source.status.bank = values.status.bank ? &pack->last.bank : NULL;
    pack->source.good_until = values.good_until;
    pack->source.settle_s = values.settle_s;
    double now = clock_now();
    /* The values may have become stale in the pipe, before the gateway reports it. */
    bool fresh = outlet_fresh(outlet, pack, now);
    unsigned changes = values.changes | (fresh != pack->fresh ? SOURCE_STATE : 0);
    pack->fresh = fresh;
    notify_observers(outlet, &pack->source, changes, now);
}

static void handle_done(struct outlet *outlet, struct pipe_message *message)
{
    struct pipe_done done = {0};
    pipe_done(message, &done);
    struct request *request =
        pipe_over(message) && done.ticket ? find_request(outlet->orders, done.ticket) : NULL;
    if (request)
        finish_request(request, done.result, NULL, 0);
}

static void handle_ordered(struct outlet *outlet, struct pipe_message *message)
{
    struct pipe_ordered ordered = {0};
    pipe_ordered(message, &ordered);
    if (!pipe_over(message) || ordered.pack >= outlet->config.pack_count)
        return;
    struct order_report report = {
        .ordered = ordered.what, .result = ordered.result, .from = ordered.from};
    struct observer *observer;
    TAILQ_FOREACH(observer, &outlet->observers, entry)
    if (observer->ordered)
        observer->ordered(observer->data, &outlet->packs[ordered.pack].source, &report);
}

static void hear_answer(struct outlet *outlet, struct pipe_message *message, int file)
{
    struct pipe_answer answer = {0};
    size_t size = 0;
    pipe_answer(message, &answer);
    struct request *request =
        pipe_over(message) && answer.ticket ? find_request(outlet->questions, answer.ticket) : NULL;
    if (!request)
        return;
    char *text = answer.good ? pipe_file_text(file, ANSWER_MOST, &size) : NULL;
    finish_request(request, ORDER_UNANSWERED, text, size);
    free(text);
}

static void give_up_requests(struct request list[REQUESTS_MAX], double now)
{
    for (struct request *at = list; at < list + REQUESTS_MAX; at++)
        if (at->number && now > at->until)
            finish_request(at, ORDER_UNANSWERED, NULL, 0);
}

/* Only the gateway knows for how long stale values still allow to discharge (on_stale). An outlet that lingers ends it
 * itself. */
static void end_discharging(struct outlet *outlet)
{
    for (unsigned i = 0; i < outlet->config.pack_count && !outlet->kind->lingers; i++)
        outlet->packs[i].source.status.allowed.discharges_stale = false;
}

static void begin_end(struct outlet *outlet)
{
    if (outlet->ending)
        return;
    outlet->ending = true;
    end_discharging(outlet);
    ev_io_stop(outlet->loop, &outlet->readable);
    ev_timer_set(&outlet->deadline,
                 outlet->gone || outlet->kind->lingers ? OUTLET_WITHDRAW_S : OUTLET_END_S, 0);
    ev_timer_start(outlet->loop, &outlet->deadline);
    if (outlet->self)
        outlet->kind->stop(outlet->self, outlet->gone);
    else
        outlet_over(outlet);
}

void outlet_over(struct outlet *outlet)
{
    ev_break(outlet->loop, EVBREAK_ALL);
}

static void handle_message(struct outlet *outlet, uint8_t *bytes, size_t size, int file)
{
    struct pipe_message message;
    bool differs;
    switch (pipe_open(&message, bytes, size, &differs)) {
    case PIPE_VALUES:
        handle_values(outlet, &message);
        break;
    case PIPE_DONE:
        handle_done(outlet, &message);
        break;
    case PIPE_ORDERED:
        handle_ordered(outlet, &message);
        break;
    case PIPE_ANSWER:
        hear_answer(outlet, &message, file);
        break;
    case PIPE_COMMIT:
        if (outlet->self && outlet->kind->commit)
            outlet->kind->commit(outlet->self);
        break;
    case PIPE_ALIVE:
        break;
    case PIPE_END:
        outlet->gone = true;
        begin_end(outlet);
        break;
    default:
        log_debug("outlet %s: received a malformed message from the gateway", outlet->kind->name);
    }
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct outlet *outlet = io->data;
    for (int i = 0; i < TURN_MESSAGES && !outlet->ending; i++) {
        int file;
        ssize_t size = pipe_receive_file(outlet->fd, outlet->room, PIPE_MESSAGE_MAX, &file);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0) {
            begin_end(outlet);
            return;
        }
        outlet->heard_at = clock_now();
        handle_message(outlet, outlet->room, (size_t) size, file);
        if (file >= 0)
            close(file);
    }
}

/* Values become stale without a message when the gateway hangs. */
static void report_staleness(struct outlet *outlet, double now)
{
    give_up_requests(outlet->orders, now);
    if (!outlet_hears(outlet, now))
        end_discharging(outlet);
    for (unsigned i = 0; i < outlet->config.pack_count; i++) {
        struct outlet_pack *pack = &outlet->packs[i];
        bool fresh = outlet_fresh(outlet, pack, now);
        if (fresh == pack->fresh)
            continue;
        pack->fresh = fresh;
        notify_observers(outlet, &pack->source, SOURCE_STATE, now);
    }
    give_up_requests(outlet->questions, now);
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    report_staleness(timer->data, clock_now());
}

/* The timer was suspended together with the host. */
static void on_late_turn(void *data, double since, double now)
{
    report_staleness(data, now);
}

static void on_asked(struct ev_loop *loop, ev_async *async, int revents)
{
    begin_end(async->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    ev_break(loop, EVBREAK_ALL);
}

/* ---- beginning ---- */

/* The first messages (config, notes, ready); only here the process may block. */
static ssize_t await_message(struct outlet *outlet)
{
    struct pollfd ready = {.fd = outlet->fd, .events = POLLIN};
    while (poll(&ready, 1, CONFIG_WAIT_MS) < 0 && errno == EINTR)
        ;
    return ready.revents ? recv(outlet->fd, outlet->room, PIPE_MESSAGE_MAX, MSG_DONTWAIT) : -1;
}

static void describe_pack(struct outlet_pack *pack)
{
    const struct pipe_pack *facts = &pack->facts;
    pack_clear(&pack->values);
    pack->source = (struct source){
        .name = facts->name,
        .title = facts->title[0] ? facts->title : facts->name,
        .line = facts->is_bank ? NULL : facts->line,
        .unit = (uint8_t) facts->unit,
        .writable = facts->writable,
        .settable = facts->settable,
        .capacity_ah = facts->capacity_ah,
        .members = facts->is_bank ? (const struct source *const *) pack->members : NULL,
        .member_count = facts->member_count,
        .values = &pack->values,
        .status = {.state = MAP_STATE_NEVER,
                   .age_s = NAN,
                   .peak.percent = -1,
                   .charged_wh = NAN,
                   .discharged_wh = NAN,
                   .time_to_full_s = NAN,
                   .time_to_empty_s = NAN,
                   .pack_name = facts->name},
        .good_until = NAN,
    };
}

static struct source *find_member(struct outlet *outlet, const char *name)
{
    for (unsigned i = 0; i < outlet->config.pack_count; i++)
        if (strcmp(outlet->packs[i].facts.name, name) == 0)
            return &outlet->packs[i].source;
    return NULL;
}

/* Members of a bank that the section does not include have a name only. */
static bool link_members(struct outlet *outlet, struct outlet_pack *pack)
{
    const struct pipe_pack *facts = &pack->facts;
    pack->strangers = calloc(facts->member_count + 1, sizeof *pack->strangers);
    for (unsigned i = 0; pack->strangers && i < facts->member_count; i++) {
        pack->strangers[i].name = pack->strangers[i].title = facts->members[i];
        struct source *member = find_member(outlet, facts->members[i]);
        pack->members[i] = member ? member : &pack->strangers[i];
    }
    return pack->strangers != NULL;
}

/* The settings stay in the buffer that the config was received in; later messages get another one.
 */
static bool handle_packs(struct outlet *outlet, struct pipe_message *message)
{
    unsigned count = outlet->config.pack_count;
    outlet->packs = calloc(count + 1, sizeof *outlet->packs);
    for (unsigned i = 0; outlet->packs && i < count; i++) {
        pipe_pack(message, &outlet->packs[i].facts);
        outlet->packs[i].index = i;
    }
    if (!outlet->packs || !pipe_over(message))
        return false;
    for (unsigned i = 0; i < count; i++) {
        describe_pack(&outlet->packs[i]);
        if (!link_members(outlet, &outlet->packs[i]))
            return false;
    }
    return true;
}

/* Parses a config message up to its packs; `config` points into it. */
static bool parse_config(const struct outlet_kind *kind, uint8_t *bytes, size_t size,
                         struct pipe_message *message, struct pipe_config *config)
{
    bool differs;
    if (pipe_open(message, bytes, size, &differs) != PIPE_CONFIG) {
        log_error("packgate-outlet %s: packgate is of another version: restart it", kind->name);
        return false;
    }
    pipe_config(message, config);
    if (message->bad || strcmp(config->version, PACKGATE_VERSION) != 0 ||
        strcmp(config->kind, kind->name) != 0 || config->settings_size != kind->settings_size) {
        log_error("packgate-outlet %s %s: packgate is version %s: restart it", kind->name,
                  PACKGATE_VERSION, message->bad ? "unknown" : config->version);
        return false;
    }
    return true;
}

static bool handle_config(struct outlet *outlet)
{
    const ssize_t size = await_message(outlet);
    struct pipe_message message;
    if (size <= 0) {
        log_error("packgate-outlet %s: received no configuration from the gateway",
                  outlet->kind->name);
        return false;
    }
    return parse_config(outlet->kind, outlet->room, (size_t) size, &message, &outlet->config) &&
           handle_packs(outlet, &message);
}

int outlet_test(const struct outlet_kind *kind, const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct pipe_message message;
    struct pipe_config config = {.pack_count = 0};
    size_t size;
    int status = 1;
    char *bytes = pipe_file_text(file, PIPE_MESSAGE_MAX, &size);
    if (!bytes)
        log_error("packgate-outlet %s: %s has no section to try", kind->name, path);
    else if (parse_config(kind, (uint8_t *) bytes, size, &message, &config))
        status = kind->test(&config);
    free(bytes);
    if (file >= 0)
        close(file);
    return status;
}

static bool handle_notes(struct outlet *outlet)
{
    for (;;) {
        ssize_t size = await_message(outlet);
        struct pipe_message message;
        bool differs;
        enum pipe_type type =
            size > 0 ? pipe_open(&message, outlet->room, (size_t) size, &differs) : 0;
        if (type == PIPE_READY)
            return true;
        struct pipe_note note = {0};
        if (type == PIPE_NOTE)
            pipe_note(&message, &note);
        if (type != PIPE_NOTE || !pipe_over(&message) || !set_note(outlet, note.key, note.text))
            return false;
    }
}

/* The gateway has died or the system shuts down. A library may be blocked in a look-up, so that
 * the loop cannot see it: the alarm ends the process if it takes too long. */
static struct outlet *signalled;
static pid_t gateway;

/* SIGCONT reports the gateway's death, since it reaches a stopped process, too. From other senders
 * it means nothing. */
static void on_signal(int number)
{
    if (number == SIGCONT && getppid() == gateway)
        return;
    alarm((unsigned) (signalled->kind->lingers ? OUTLET_WITHDRAW_S : OUTLET_END_S));
    ev_async_send(signalled->loop, &signalled->asked);
}

static void start_watchers(struct outlet *outlet)
{
    ev_io_init(&outlet->readable, on_readable, outlet->fd, EV_READ);
    ev_timer_init(&outlet->second, on_second, 1, 1);
    ev_timer_init(&outlet->deadline, on_deadline, OUTLET_END_S, 0);
    ev_async_init(&outlet->asked, on_asked);
    outlet->readable.data = outlet->second.data = outlet->deadline.data = outlet->asked.data =
        outlet;
    ev_io_start(outlet->loop, &outlet->readable);
    ev_timer_start(outlet->loop, &outlet->second);
    ev_async_start(outlet->loop, &outlet->asked);
    signalled = outlet;
    signal(SIGTERM, on_signal);
    gateway = getppid();
    signal(SIGCONT, on_signal);
    prctl(PR_SET_PDEATHSIG, SIGCONT);
    signal(SIGINT, SIG_IGN); /* Ctrl-C: the gateway ends its outlets */
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

static void free_outlet(struct outlet *outlet)
{
    while (outlet->notes) {
        struct note *note = outlet->notes;
        outlet->notes = note->next;
        free(note);
    }
    for (unsigned i = 0; outlet->packs && i < outlet->config.pack_count; i++)
        free(outlet->packs[i].strangers);
    free(outlet->packs);
    free(outlet->room);
}

int outlet_run(const struct outlet_kind *kind, int fd)
{
    memory_be_small();
    struct outlet outlet = {.kind = kind, .fd = fd, .loop = ev_default_loop(0)};
    log_never_wait(outlet.loop);
    TAILQ_INIT(&outlet.observers);
    uint8_t *config = outlet.room = malloc(PIPE_MESSAGE_MAX);
    bool good = config && handle_config(&outlet);
    outlet.room = malloc(PIPE_MESSAGE_MAX);
    good = good && outlet.room && handle_notes(&outlet);
    if (good) {
        outlet.heard_at = clock_now();
        start_watchers(&outlet);
        outlet.watcher = (struct late_turn_watcher){.late = on_late_turn, .data = &outlet};
        outlet.self = late_turn_watch(outlet.loop, &outlet.watcher) ? kind->start(&outlet) : NULL;
        good = outlet.self != NULL;
    }
    if (good) {
        memory_give_back();
        ev_run(outlet.loop, 0);
        kind->free(outlet.self);
    }
    /* This process is already ending and needs no signal. (A SIGCONT would also make LeakSanitizer
     * wait for ever: it takes back the SIGSTOP by which that holds the process.) */
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGCONT, SIG_DFL);
    late_turn_unwatch(outlet.loop, &outlet.watcher);
    free_outlet(&outlet);
    free(config);
    return good ? 0 : 1;
}
