// SPDX-License-Identifier: MIT
#include "outlet.h"
#include "memory.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/late_turn.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define CONFIG_WAIT_MS 10000
#define TURN_MESSAGES 256 /* at most so many a turn, before timers and sockets are served */
#define REQUESTS_MAX 64   /* orders and questions in flight */
#define CONFIG_MOST (16 * 1024 * 1024)
#define ANSWER_MOST (64 * 1024 * 1024)

/* An order or a question that the gateway has not answered yet. */
struct request {
    uint64_t number; /* of this process; 0: free */
    double until; /* then it counts as unanswered: the gateway drops an answer if this process has
                      * read none of its messages for long */
    uint64_t ticket;
    void *data;
    void (*ordered)(void *data, uint64_t ticket, enum order_result result); /* an order's */
    void (*answered)(void *data, const char *text);
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
    char *bytes; /* of the config, with the settings and the packs */
    struct pipe_config config;
    char title[2 * NAME_SIZE];
    struct outlet_pack *packs;
    struct pipe_note *notes; /* an empty text: it was removed */
    unsigned note_count;
    struct request requests[REQUESTS_MAX];
    uint64_t request_count;    /* since the start */
    struct pipe_report report; /* as the gateway has it */
    double heard_at;
    bool ending, gone;
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

struct outlet_pack *outlet_find(struct outlet *outlet, const char *name, size_t size)
{
    for (unsigned i = 0; i < outlet->config.pack_count; i++) {
        const char *of = outlet->packs[i].facts.name;
        if (strlen(of) == size && memcmp(of, name, size) == 0)
            return &outlet->packs[i];
    }
    return NULL;
}

const char *outlet_title(const struct outlet *outlet)
{
    return outlet->title;
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

static struct pipe_note *find_note(const struct outlet *outlet, const char *key)
{
    for (unsigned i = 0; i < outlet->note_count; i++)
        if (strcmp(outlet->notes[i].key, key) == 0)
            return &outlet->notes[i];
    return NULL;
}

const char *outlet_note(const struct outlet *outlet, const char *key)
{
    const struct pipe_note *note = find_note(outlet, key);
    return note && note->text[0] ? note->text : NULL;
}

const char *outlet_note_at(const struct outlet *outlet, unsigned n, const char **key)
{
    for (unsigned i = outlet->note_count; i-- > 0;)
        if (outlet->notes[i].text[0] && n-- == 0) {
            *key = outlet->notes[i].key;
            return outlet->notes[i].text;
        }
    return NULL;
}

static struct pipe_note *set_note(struct outlet *outlet, const char *key, const char *text)
{
    struct pipe_note *note = find_note(outlet, key);
    if (!note) {
        note = reallocarray(outlet->notes, outlet->note_count + 1, sizeof *note);
        outlet->notes = alloc_checked(note);
        note += outlet->note_count++;
        *note = (struct pipe_note){{0}, {0}};
        snprintf(note->key, sizeof note->key, "%s", key);
    }
    snprintf(note->text, sizeof note->text, "%s", text);
    return note;
}

/* Never waits. A message that the gateway does not take is small and rare: it is logged. */
static bool transmit(struct outlet *outlet, const struct pipe_message *message, int file)
{
    if (pipe_send(outlet->fd, message, file))
        return true;
    log_debug("outlet %s: the gateway did not accept a message: %s", outlet->kind->name,
              strerror(errno));
    return false;
}

void outlet_keep(struct outlet *outlet, const char *key, const char *text)
{
    const char *before = outlet_note(outlet, key);
    if (text ? before && strcmp(before, text) == 0 : !before)
        return;
    const struct pipe_note *note = set_note(outlet, key, text ? text : "");
    transmit(outlet, &(struct pipe_message){.type = PIPE_NOTE, .note = *note}, -1);
}

void outlet_report(struct outlet *outlet)
{
    struct pipe_message message = {.type = PIPE_REPORT};
    const struct pipe_report *report = &message.report;
    if (!outlet->self || !outlet->kind->report)
        return;
    outlet->kind->report(outlet->self, &message.report);
    if (memcmp(report, &outlet->report, sizeof *report) != 0 && transmit(outlet, &message, -1))
        outlet->report = *report;
}

/* The request in flight with a number; 0: a free place. */
static struct request *find_request(struct outlet *outlet, uint64_t number)
{
    for (struct request *at = outlet->requests; at < outlet->requests + REQUESTS_MAX; at++)
        if (at->number == number)
            return at;
    return NULL;
}

static void finish_request(struct request *request, enum order_result result, const char *text)
{
    const struct request found = *request;
    request->number = 0;
    if (found.ordered)
        found.ordered(found.data, found.ticket, result);
    else
        found.answered(found.data, text);
}

/* Sends an order or a question, which both begin with their number. */
static bool make_request(struct outlet *outlet, struct pipe_message *message, int file,
                         struct request request)
{
    const double now = clock_now();
    struct request *place = find_request(outlet, 0);
    if (!place || late_turn_is_on(outlet->loop, now))
        return false;
    request.number = message->order.ticket = ++outlet->request_count;
    request.until += now;
    const bool sent = transmit(outlet, message, file);
    if (sent)
        *place = request;
    return sent;
}

bool outlet_order(struct outlet *outlet, const struct outlet_pack *pack,
                  const struct switches *what,
                  void (*done)(void *data, uint64_t ticket, enum order_result result), void *data,
                  uint64_t ticket)
{
    struct pipe_message message = {.type = PIPE_ORDER, .order = {0, pack->index, *what}};
    return make_request(outlet, &message, -1,
                        (struct request){.until = OUTLET_ORDER_S, ticket, data, .ordered = done});
}

bool outlet_ask(struct outlet *outlet, const char *what, void (*done)(void *data, const char *text),
                void *data)
{
    struct pipe_message message = {.type = PIPE_QUESTION};
    const int text = pipe_text_file(what, strlen(what));
    const bool sent =
        text >= 0 &&
        make_request(outlet, &message, text,
                     (struct request){.until = OUTLET_ANSWER_S, .data = data, .answered = done});
    if (text >= 0)
        close(text);
    return sent;
}

static void handle_values(struct outlet *outlet, const struct pipe_values *values)
{
    struct outlet_pack *pack = &outlet->packs[values->pack];
    struct map_status *status = &pack->source.status;
    pack->last = *values;
    if (values->whole)
        pack->values = values->values;
    else if (isnan(values->status.age_s)) /* a reload: nothing was read of this pack yet */
        pack_clear(&pack->values);
    *status = values->status;
    status->pack_name = pack->facts.name;
    status->driver = values->driver[0] ? pack->last.driver : NULL;
    status->driver_title = values->driver_title[0] ? pack->last.driver_title : NULL;
    status->bank = values->is_bank ? &pack->last.bank : NULL;
    pack->source.good_until = values->good_until;
    pack->source.read_at = values->at - values->status.age_s;
    pack->source.settle_s = values->settle_s;
    double now = clock_now();
    /* The values may have become stale in the pipe, before the gateway reports it. */
    bool fresh = outlet_fresh(outlet, pack, now);
    unsigned changes = values->changes | (fresh != pack->fresh ? SOURCE_STATE : 0);
    pack->fresh = fresh;
    outlet->kind->changed(outlet->self, pack, changes, now);
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
    timer_restart(outlet->loop, &outlet->deadline,
                  outlet->gone || outlet->kind->lingers ? OUTLET_WITHDRAW_S : OUTLET_END_S);
    if (outlet->self && outlet->kind->stop)
        outlet->kind->stop(outlet->self, outlet->gone);
    else
        outlet_over(outlet);
}

void outlet_over(struct outlet *outlet)
{
    ev_break(outlet->loop, EVBREAK_ALL);
}

static void handle_message(struct outlet *outlet, const struct pipe_message *message, int file)
{
    const struct pipe_ordered *ordered = &message->ordered;
    struct request *request = NULL;
    switch (message->type) {
    case PIPE_VALUES:
        handle_values(outlet, &message->values);
        break;
    case PIPE_DONE:
        request = find_request(outlet, message->done.ticket);
        if (request)
            finish_request(request, message->done.result, NULL);
        break;
    case PIPE_ORDERED:
        if (outlet->kind->ordered)
            outlet->kind->ordered(outlet->self, &outlet->packs[ordered->pack],
                                  &(struct order_report){.ordered = ordered->what,
                                                         .result = ordered->result,
                                                         .from = ordered->from});
        break;
    case PIPE_ANSWER:
        request = find_request(outlet, message->answer.ticket);
        if (request) {
            size_t size = 0;
            char *text = pipe_file_text(file, ANSWER_MOST, &size);
            finish_request(request, ORDER_UNANSWERED, text);
            free(text);
        }
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
        struct pipe_message message;
        const ssize_t size = pipe_receive(outlet->fd, &message, &file);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0) {
            begin_end(outlet);
            return;
        }
        outlet->heard_at = clock_now();
        handle_message(outlet, &message, file);
        if (file >= 0)
            close(file);
    }
}

/* Requests remain unanswered, and values become stale without a message, when the gateway hangs. */
static void check_times(struct outlet *outlet, double now)
{
    for (struct request *at = outlet->requests; at < outlet->requests + REQUESTS_MAX; at++)
        if (at->number && now > at->until)
            finish_request(at, ORDER_UNANSWERED, NULL);
    if (!outlet_hears(outlet, now))
        end_discharging(outlet);
    for (unsigned i = 0; i < outlet->config.pack_count; i++) {
        struct outlet_pack *pack = &outlet->packs[i];
        bool fresh = outlet_fresh(outlet, pack, now);
        if (fresh == pack->fresh)
            continue;
        pack->fresh = fresh;
        outlet->kind->changed(outlet->self, pack, SOURCE_STATE, now);
    }
}

static void on_second(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct outlet *outlet = timer->data;
    const double now = clock_now();
    check_times(outlet, now);
    if (outlet->kind->second)
        outlet->kind->second(outlet->self, now);
    outlet_report(outlet);
}

/* The timer was suspended together with the host. */
static void on_late_turn(void *data, double since, double now)
{
    check_times(data, now);
}

static void on_asked(struct ev_loop *loop, ev_async *async, int revents)
{
    begin_end(async->data);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    outlet_over(timer->data);
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
        .read_at = NAN,
    };
}

/* Returns where the notes begin. */
static const char *make_packs(struct outlet *outlet, const char *at)
{
    const unsigned count = outlet->config.pack_count;
    outlet->packs = alloc_zeroed(count, sizeof *outlet->packs);
    for (unsigned i = 0; i < count; i++) {
        at = pipe_parse_pack(at, &outlet->packs[i].facts);
        outlet->packs[i].index = i;
        describe_pack(&outlet->packs[i]);
    }
    for (struct outlet_pack *pack = outlet->packs; pack < outlet->packs + count; pack++) {
        /* Members of a bank that the section does not include have a name only. */
        pack->strangers = alloc_zeroed(pack->facts.member_count, sizeof *pack->strangers);
        for (unsigned i = 0; i < pack->facts.member_count; i++) {
            const char *name = pack->facts.members[i];
            struct outlet_pack *known = outlet_find(outlet, name, strlen(name));
            pack->strangers[i].name = pack->strangers[i].title = name;
            pack->members[i] = known ? &known->source : &pack->strangers[i];
        }
    }
    return at;
}

/* Returns where the packs begin; NULL: it is not ours, which is logged. */
static const char *parse_config(const struct outlet_kind *kind, const char *bytes, size_t size,
                                struct pipe_config *config)
{
    const char *packs = bytes ? pipe_parse(bytes, size, config) : NULL;
    if (packs && strcmp(config->kind, kind->name) == 0 &&
        config->settings_size == kind->settings_size)
        return packs;
    log_error("packgate-outlet %s %s: packgate is of version %s: restart it", kind->name,
              PACKGATE_VERSION, config->version[0] ? config->version : "unknown");
    return NULL;
}

/* The first message; only here the process may block. */
static bool handle_config(struct outlet *outlet)
{
    struct pollfd ready = {.fd = outlet->fd, .events = POLLIN};
    struct pipe_message message;
    size_t size = 0;
    int file = -1;
    while (poll(&ready, 1, CONFIG_WAIT_MS) < 0 && errno == EINTR)
        ;
    if (!ready.revents || pipe_receive(outlet->fd, &message, &file) <= 0) {
        log_error("packgate-outlet %s: received no configuration from the gateway",
                  outlet->kind->name);
        return false;
    }
    outlet->bytes = pipe_file_text(file, CONFIG_MOST, &size);
    if (file >= 0)
        close(file);
    const char *at = parse_config(outlet->kind, outlet->bytes, size, &outlet->config);
    if (!at)
        return false;
    for (at = make_packs(outlet, at); at < outlet->bytes + size; at += sizeof(struct pipe_note)) {
        struct pipe_note note;
        memcpy(&note, at, sizeof note);
        set_note(outlet, note.key, note.text);
    }
    return true;
}

int outlet_test(const struct outlet_kind *kind, const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    struct pipe_config config = {.pack_count = 0};
    size_t size;
    int status = 1;
    char *bytes = pipe_file_text(file, CONFIG_MOST, &size);
    if (!bytes)
        log_error("packgate-outlet %s: %s has no section to try", kind->name, path);
    else if (parse_config(kind, bytes, size, &config))
        status = kind->test(&config);
    free(bytes);
    if (file >= 0)
        close(file);
    return status;
}

/* The gateway has died or the system shuts down. A library may be blocked in a look-up, so that
 * the loop cannot see it: the alarm ends the process if it takes too long. */
static struct outlet *signalled;
static pid_t gateway;

/* SIGCONT reports the gateway's death, even to a stopped process. Others may send it, too. */
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
    ev_init(&outlet->deadline, on_deadline);
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

int outlet_run(const struct outlet_kind *kind, int fd)
{
    static struct outlet outlet; /* of the process */
    memory_be_small();
    outlet = (struct outlet){.kind = kind, .fd = fd, .loop = ev_default_loop(0)};
    log_never_wait(outlet.loop);
    bool good = handle_config(&outlet);
    if (good) {
        outlet.heard_at = clock_now();
        snprintf(outlet.title, sizeof outlet.title, outlet.config.section[0] ? "%s %s" : "%s",
                 kind->name, outlet.config.section);
        start_watchers(&outlet);
        outlet.watcher = (struct late_turn_watcher){.late = on_late_turn, .data = &outlet};
        late_turn_watch(outlet.loop, &outlet.watcher);
        outlet.self = kind->start(&outlet);
        good = outlet.self != NULL;
    }
    if (good) {
        memory_give_back();
        ev_run(outlet.loop, 0);
        if (kind->end)
            kind->end(outlet.self);
    }
    /* This process is already ending and needs no signal. (A SIGCONT would also make LeakSanitizer
     * wait for ever: it takes back the SIGSTOP by which that holds the process.) */
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGCONT, SIG_DFL);
    return good ? 0 : 1;
}
