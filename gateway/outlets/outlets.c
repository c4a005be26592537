// SPDX-License-Identifier: MIT
/*
 * The gateway's side of outlets.
 *
 * Each outlet owes at most one message a pack: what changed since the last one that its pipe took,
 * with the values as they are when it takes the next. A change of state, switches or alarms is an
 * event, though, and is not to be lost in the next one: as long as there is room such messages wait
 * in their order.
 */
#include "outlets.h"

#include "pipe.h"

#include "base/backoff.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "packgate-outlet" /* what ps shows; the file has the kind behind it */
#define FIRST_PAUSE_S 1.0
#define LONGEST_PAUSE_S 60.0
#define STEADY_S 60.0                 /* who ran for so long starts with the first pause again */
#define CONFIG_ROOM (4 * 1024 * 1024) /* of a pipe, for config and notes */
#define END_S (OUTLET_END_S + 1)      /* one that was told to end is killed after that */
#define WITHDRAW_S (OUTLET_WITHDRAW_S + 1) /* the same of one whose section is gone for good */
#define EVENTS_MAX 64                      /* waiting for an outlet's pipe */
#define EVENTS (SOURCE_STATE | SOURCE_SWITCHES | SOURCE_ALARMS)
#define LAST_MESSAGES 1000 /* more than its pipe holds */
#define TURN_MESSAGES 32   /* of one outlet, before others have their turn */
#define REST_S 0.02        /* after so many, and after each one that takes time to carry out */

/* The sections that are outlets: where in the configuration their structs are. */
#define SECTION(word, list, count, ...)                                                            \
    {                                                                                              \
        .name = word, .list_at = offsetof(struct config, list),                                    \
        .count_at = offsetof(struct config, count),                                                \
        .size = sizeof *((struct config *) NULL)->list, __VA_ARGS__                                \
    }
#define SECTION_OF_ONE(word, member)                                                               \
    {                                                                                              \
        .name = word, .list_at = offsetof(struct config, member), .count_at = ONE,                 \
        .size = sizeof *((struct config *) NULL)->member                                           \
    }
#define ONE SIZE_MAX /* a section that there is once or not at all */
static const struct kind {
    const char *name;
    size_t list_at, count_at, size;
    bool tells_page; /* where the page is: it is restarted when that changes */
} kinds[] = {
    SECTION("mqtt", mqtts, mqtt_count, .tells_page = true),
    SECTION_OF_ONE("history", history),
    SECTION_OF_ONE("web", web),
    SECTION("influx", influxes, influx_count),
    SECTION("notify", notifies, notify_count, .tells_page = true),
    SECTION("print", prints, print_count),
};

struct event {
    size_t size;
    uint8_t bytes[PIPE_SMALL_MAX];
};

struct process {
    struct outlets *outlets;
    const struct kind *kind;
    char section[NAME_SIZE];
    char title[2 * NAME_SIZE]; /* "mqtt home" */
    uint8_t *config;           /* the message that tells it all */
    size_t config_size;
    const struct source **sources; /* the packs and banks it gets */
    unsigned source_count;
    unsigned *owed; /* of each: enum source_change; 0: nothing */
    unsigned owed_count, turn;
    uint32_t *sequences;
    struct event *events; /* a ring of EVENTS_MAX */
    unsigned first_event, event_count;
    bool lost_events; /* said */
    int fd;           /* -1: none */
    pid_t pid;        /* 0: none */
    bool leaving;     /* its section is gone or has changed: not to be started again */
    bool gone;        /* the section: what it has left with others is to be withdrawn */
    bool waits;       /* to be started, after those of its kind that withdraw */
    bool doubted;     /* the log has said that it ended */
    bool deaf;        /* it has ended: nobody hears answers */
    double started_at, pause_s;
    unsigned ended;
    uint64_t sent, refused;
    struct pipe_report report;
    ev_io readable;
    ev_child child;
    ev_timer timer; /* to start it, or to kill it */
    ev_timer rest;  /* until it is listened to again */
    struct process *next;
    struct process *successor; /* starts when this one has ended */
};

struct outlets {
    struct ev_loop *loop;
    struct packs *packs;
    struct kept *kept;
    struct observer observer;
    struct process *first;
    outlets_answer *answer; /* NULL: nobody answers */
    void *answer_data;
    uint8_t *room;
};

/* ---- messages to an outlet ---- */

/* Whether the pipe took it. A full one is refused at once, whatever the outlet does. */
static bool hand_over(struct process *process, const uint8_t *bytes, size_t size)
{
    if (send(process->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        process->refused++;
        return false;
    }
    process->sent++;
    return true;
}

static size_t compose_values(struct process *process, unsigned n, unsigned changes, double now,
                             uint8_t bytes[PIPE_SMALL_MAX])
{
    const struct source *source = process->sources[n];
    struct pipe_values values = {
        .pack = n,
        .changes = changes,
        .sequence = process->sequences[n] + 1,
        .at = now,
        .good_until = source->good_until,
        .settle_s = source->settle_s,
        .status = source->status,
        .whole = (changes & ~(unsigned) SOURCE_AGED) != 0,
    };
    if (source->status.driver)
        snprintf(values.driver, sizeof values.driver, "%s", source->status.driver);
    if (source->status.bank)
        values.bank = *source->status.bank;
    if (values.whole)
        values.values = *source->values;
    struct pipe_message message = pipe_new(PIPE_VALUES, bytes, PIPE_SMALL_MAX);
    pipe_values(&message, &values);
    return pipe_finish(&message);
}

static bool send_values(struct process *process, unsigned n, unsigned changes, double now)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    size_t size = compose_values(process, n, changes, now, bytes);
    if (!hand_over(process, bytes, size))
        return false;
    process->sequences[n]++;
    return true;
}

static void owe(struct process *process, unsigned n, unsigned changes)
{
    if (!process->owed[n])
        process->owed_count++;
    process->owed[n] |= changes;
}

/* The oldest event goes when there is no room for one more: the state that it led to is told all
 * the same. */
static void keep_event(struct process *process, const uint8_t *bytes, size_t size)
{
    if (process->event_count == EVENTS_MAX) {
        process->first_event = (process->first_event + 1) % EVENTS_MAX;
        process->event_count--;
        if (!process->lost_events)
            log_warn("outlet %s: takes nothing, events are dropped", process->title);
        process->lost_events = true;
    }
    struct event *event =
        &process->events[(process->first_event + process->event_count++) % EVENTS_MAX];
    event->size = size;
    memcpy(event->bytes, bytes, size);
}

static bool send_events(struct process *process)
{
    while (process->event_count > 0) {
        const struct event *event = &process->events[process->first_event];
        if (!hand_over(process, event->bytes, event->size))
            return false;
        process->first_event = (process->first_event + 1) % EVENTS_MAX;
        process->event_count--;
    }
    process->lost_events = false;
    return true;
}

/* What is owed, beginning with the pack at which the pipe was full the last time. */
static void send_owed(struct process *process, double now)
{
    if (process->fd < 0 || !send_events(process))
        return;
    for (unsigned i = 0; i < process->source_count && process->owed_count > 0; i++) {
        unsigned n = process->turn;
        if (process->owed[n]) {
            if (!send_values(process, n, process->owed[n], now))
                return;
            process->owed[n] = 0;
            process->owed_count--;
        }
        process->turn = (n + 1) % process->source_count;
    }
}

static void tell(struct process *process, unsigned n, unsigned changes, double now)
{
    if (process->fd < 0)
        return;
    if (process->owed_count > 0 || process->event_count > 0)
        send_owed(process, now);
    bool waits = process->owed_count > 0 || process->event_count > 0;
    if (!waits && send_values(process, n, changes, now))
        return;
    if (changes & EVENTS) {
        uint8_t bytes[PIPE_SMALL_MAX];
        size_t size = compose_values(process, n, changes | process->owed[n], now, bytes);
        process->sequences[n]++;
        keep_event(process, bytes, size);
        if (process->owed[n])
            process->owed_count--;
        process->owed[n] = 0;
    } else {
        owe(process, n, changes);
    }
}

static void on_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct outlets *outlets = data;
    for (struct process *process = outlets->first; process; process = process->next)
        for (unsigned n = 0; n < process->source_count; n++)
            if (process->sources[n] == source)
                tell(process, n, changes, now);
}

static void on_ordered(void *data, const struct source *source, const struct order_report *report)
{
    if (report->ordered.sets) /* that is seen by the value */
        return;
    struct outlets *outlets = data;
    struct pipe_ordered ordered = {.what = report->ordered, .result = report->result};
    snprintf(ordered.from, sizeof ordered.from, "%s", report->from);
    for (struct process *process = outlets->first; process; process = process->next)
        for (unsigned n = 0; n < process->source_count; n++) {
            if (process->sources[n] != source || process->fd < 0)
                continue;
            uint8_t bytes[PIPE_SMALL_MAX];
            struct pipe_message message = pipe_new(PIPE_ORDERED, bytes, sizeof bytes);
            ordered.pack = n;
            pipe_ordered(&message, &ordered);
            size_t size = pipe_finish(&message);
            if (process->event_count > 0 || !hand_over(process, bytes, size))
                keep_event(process, bytes, size);
        }
}

/* ---- messages from an outlet ---- */

static void send_done(struct process *process, uint64_t ticket, enum order_result result)
{
    struct pipe_done done = {.ticket = ticket, .result = result};
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_DONE, bytes, sizeof bytes);
    pipe_done(&message, &done);
    size_t size = pipe_finish(&message);
    if (process->event_count > 0 || !hand_over(process, bytes, size))
        keep_event(process, bytes, size);
}

/* The outlet that ordered may be gone, and a new one in its place: a ticket carries the pid of who
 * asked in its upper half. */
static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct outlets *outlets = data;
    for (struct process *process = outlets->first; process; process = process->next)
        if (process->fd >= 0 && (uint64_t) process->pid == ticket >> 32)
            send_done(process, ticket & UINT32_MAX, result);
}

static void take_order(struct process *process, struct pipe_message *message)
{
    struct outlets *outlets = process->outlets;
    struct pipe_order order = {0};
    pipe_order(message, &order);
    if (!pipe_over(message) || order.pack >= process->source_count || order.ticket > UINT32_MAX)
        return;
    uint64_t ticket = (uint64_t) process->pid << 32 | order.ticket;
    enum order_result result =
        packs_order(outlets->packs, process->sources[order.pack], &order.what, process->title,
                    order.given_at, on_order_over, outlets, ticket);
    if (result != ORDER_PENDING)
        send_done(process, order.ticket, result);
}

static void take_note(struct process *process, struct pipe_message *message)
{
    struct pipe_note note = {0};
    pipe_note(message, &note);
    if (pipe_over(message))
        kept_set_note(process->outlets->kept, process->title, note.key, note.text);
}

static void take_report(struct process *process, struct pipe_message *message)
{
    struct pipe_report report = {0};
    pipe_report(message, &report);
    if (pipe_over(message))
        process->report = report;
}

/* A text of any size as a file in memory, which goes along with the answer; -1: none. */
static int file_of(const char *text)
{
    int fd = memfd_create("packgate answer", MFD_CLOEXEC);
    size_t size = strlen(text);
    if (fd >= 0 && write(fd, text, size) == (ssize_t) size)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void take_question(struct process *process, struct pipe_message *message)
{
    const struct outlets *outlets = process->outlets;
    struct pipe_question question = {0};
    pipe_question(message, &question);
    if (!pipe_over(message))
        return;
    char *text = outlets->answer
                     ? outlets->answer(outlets->answer_data, process->title, question.what)
                     : NULL;
    int fd = text ? file_of(text) : -1;
    struct pipe_answer answer = {.ticket = question.ticket, .good = fd >= 0};
    free(text);
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message reply = pipe_new(PIPE_ANSWER, bytes, sizeof bytes);
    pipe_answer(&reply, &answer);
    /* One whose pipe is full does not hear; whoever asks must be able to live with that. */
    if (!pipe_send_file(process->fd, bytes, pipe_finish(&reply), fd))
        process->refused++;
    if (fd >= 0)
        close(fd);
}

/* Whether it took time. */
static bool take(struct process *process, uint8_t *bytes, size_t size)
{
    struct pipe_message message;
    bool differs;
    switch (pipe_open(&message, bytes, size, &differs)) {
    case PIPE_ORDER:
        take_order(process, &message);
        return true;
    case PIPE_NOTE:
        take_note(process, &message);
        break;
    case PIPE_REPORT:
        take_report(process, &message);
        break;
    case PIPE_QUESTION:
        if (!process->deaf)
            take_question(process, &message);
        return true;
    default:
        log_debug("outlet %s: a message is not understood", process->title);
    }
    return false;
}

static void close_pipe(struct process *process)
{
    if (process->fd < 0)
        return;
    ev_io_stop(process->outlets->loop, &process->readable);
    ev_timer_stop(process->outlets->loop, &process->rest);
    close(process->fd);
    process->fd = -1;
    process->event_count = 0;
}

/* What it said last, before it ended or is not listened to any more. */
static void drain(struct process *process)
{
    process->deaf = true;
    for (int i = 0; i < LAST_MESSAGES && process->fd >= 0; i++) {
        ssize_t size = recv(process->fd, process->outlets->room, PIPE_SMALL_MAX, MSG_DONTWAIT);
        if (size <= 0)
            return;
        take(process, process->outlets->room, (size_t) size);
    }
}

/* It has closed its pipe and must end now. */
static void hang_up(struct process *process)
{
    close_pipe(process);
    ev_timer_stop(process->outlets->loop, &process->timer);
    ev_timer_set(&process->timer, END_S, 0);
    ev_timer_start(process->outlets->loop, &process->timer);
}

/* An outlet that floods has its turn like everybody else, and then a rest, so that it cannot keep the gateway busy. */
static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) revents;
    struct process *process = io->data;
    bool through = false;
    for (int i = 0; i < TURN_MESSAGES && process->fd >= 0 && !through; i++) {
        ssize_t size = recv(process->fd, process->outlets->room, PIPE_SMALL_MAX, MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0)
            hang_up(process);
        else
            through = take(process, process->outlets->room, (size_t) size);
    }
    if (process->fd < 0)
        return;
    ev_io_stop(loop, &process->readable);
    ev_timer_set(&process->rest, REST_S, 0);
    ev_timer_start(loop, &process->rest);
}

static void on_rested(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) revents;
    struct process *process = timer->data;
    ev_io_start(loop, &process->readable);
}

/* ---- starting and ending ---- */

static void start(struct process *process);
static void leave(struct process *process, bool gone);

static void free_process(struct process *process)
{
    if (!process)
        return;
    struct ev_loop *loop = process->outlets->loop;
    close_pipe(process);
    ev_child_stop(loop, &process->child);
    ev_timer_stop(loop, &process->timer);
    free_process(process->successor);
    free(process->config);
    free(process->sources);
    free(process->owed);
    free(process->sequences);
    free(process->events);
    free(process);
}

static void unlink_process(struct process *process)
{
    struct process **at = &process->outlets->first;
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
}

static void try_later(struct process *process)
{
    ev_timer_set(&process->timer, process->pause_s, 0);
    ev_timer_start(process->outlets->loop, &process->timer);
}

/* How it ended, in words. */
static const char *how_ended(int status, char out[64])
{
    if (WIFSIGNALED(status))
        snprintf(out, 64, "by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        snprintf(out, 64, "with status %d", WEXITSTATUS(status));
    return out;
}

static void grow_pause(struct process *process, double now)
{
    if (now - process->started_at >= STEADY_S) {
        process->pause_s = 0;
        process->doubted = false;
    }
    backoff_grow(&process->pause_s, FIRST_PAUSE_S, LONGEST_PAUSE_S);
}

/* Said once, until it has run for a while. */
static void lament(struct process *process, const char *what)
{
    if (!process->doubted)
        log_warn("outlet %s: %s; it is started again, after pauses of 1 s to 60 s", process->title,
                 what);
    else
        log_debug("outlet %s: %s; next in %.0f s", process->title, what, process->pause_s);
    process->doubted = true;
}

/* Two sections can be one and the same to a broker, where one takes the place of the other: what
 * the old one withdraws must not be what the new one has just announced. */
static void start_waiting(struct outlets *outlets)
{
    for (struct process *process = outlets->first; process; process = process->next) {
        if (!process->waits)
            continue;
        const struct process *other = outlets->first;
        while (other && !(other->kind == process->kind && other->gone))
            other = other->next;
        if (other)
            continue;
        process->waits = false;
        start(process);
    }
}

/* One that was told to end has ended: the next one takes its place, be it only to withdraw. */
static void succeed(struct process *process)
{
    struct outlets *outlets = process->outlets;
    struct process *successor = process->successor;
    process->successor = NULL;
    unlink_process(process);
    free_process(process);
    if (successor) {
        successor->next = outlets->first;
        outlets->first = successor;
        if (successor->gone) {
            start(successor);
            leave(successor, true);
        } else {
            successor->waits = true;
        }
    }
    start_waiting(outlets);
}

static void on_ended(struct ev_loop *loop, ev_child *child, int revents)
{
    (void) revents;
    struct process *process = child->data;
    ev_child_stop(loop, child);
    ev_timer_stop(loop, &process->timer);
    drain(process);
    process->pid = 0;
    close_pipe(process);
    process->report = (struct pipe_report){0};
    if (process->leaving) {
        succeed(process);
        return;
    }
    char how[64], what[80];
    process->ended++;
    grow_pause(process, clock_now());
    snprintf(what, sizeof what, "ended %s", how_ended(child->rstatus, how));
    lament(process, what);
    try_later(process);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    struct process *process = timer->data;
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
    else
        start(process);
}

/* In the child. Only the first three descriptors and the pipe are left open, and nothing to read
 * from. */
static void run_program(const struct process *process, int fd, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    child_settle(fd);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* It ends when the gateway does in any way; the exec keeps this. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* What a service manager gave to the gateway alone, a port below 1024, goes no further. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    if (log_enabled(LOG_LEVEL_DEBUG))
        setenv("PACKGATE_DEBUG", "1", 1);
    char program[PORT_SIZE];
    outlets_program(process->kind->name, program);
    execl(program, PROGRAM, process->kind->name, process->section[0] ? process->section : NULL,
          NULL);
    log_error("outlet %s: %s cannot be started: %s", process->title, program, strerror(errno));
    _exit(127);
}

static bool send_all_notes(struct process *process)
{
    bool good = hand_over(process, process->config, process->config_size);
    const struct kept_note *at = NULL;
    while (good && (at = kept_next_note(process->outlets->kept, process->title, at))) {
        struct pipe_note note;
        snprintf(note.key, sizeof note.key, "%s", at->key);
        snprintf(note.text, sizeof note.text, "%s", at->text);
        uint8_t bytes[PIPE_SMALL_MAX];
        struct pipe_message message = pipe_new(PIPE_NOTE, bytes, sizeof bytes);
        pipe_note(&message, &note);
        good = hand_over(process, bytes, pipe_finish(&message));
    }
    uint8_t bytes[PIPE_SMALL_MAX];
    struct pipe_message message = pipe_new(PIPE_READY, bytes, sizeof bytes);
    return good && hand_over(process, bytes, pipe_finish(&message));
}

/* How much waits in the pipe for an outlet that does not listen, of which the kernel has a limit. */
static void set_room(struct process *process, int room)
{
    setsockopt(process->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
}

/* The pipe is empty: it takes the config and the notes at once. Each note takes almost 1 KiB of
 * it, and there is one for each pack; values are to find no more room than a pipe has of itself. */
static bool send_config(struct process *process)
{
    int room = 0;
    socklen_t size = sizeof room;
    getsockopt(process->fd, SOL_SOCKET, SO_SNDBUF, &room, &size);
    set_room(process, CONFIG_ROOM);
    bool good = send_all_notes(process);
    set_room(process, room / 2); /* the kernel doubles what it is given */
    return good;
}

static void begin(struct process *process, int fd, pid_t pid)
{
    struct ev_loop *loop = process->outlets->loop;
    process->fd = fd;
    process->pid = pid;
    process->started_at = clock_now();
    ev_child_set(&process->child, pid, 0);
    ev_child_start(loop, &process->child);
    ev_io_set(&process->readable, fd, EV_READ);
    ev_io_start(loop, &process->readable);
    process->turn = 0;
    process->deaf = false;
    for (unsigned n = 0; n < process->source_count; n++)
        owe(process, n, SOURCE_PUBLISHED | SOURCE_AGED);
    if (!send_config(process)) {
        log_error("outlet %s: its configuration is too large for a pipe", process->title);
        close_pipe(process);
    }
}

static void start(struct process *process)
{
    int pair[2];
    pid_t parent = getpid(), pid = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        pid = fork();
        if (pid == 0) {
            /* exec keeps what is not close-on-exec. */
            fcntl(pair[1], F_SETFD, 0);
            run_program(process, pair[1], parent);
        }
        const int err = errno;
        close(pair[1]);
        if (pid < 0)
            close(pair[0]);
        errno = err;
    }
    if (pid > 0) {
        begin(process, pair[0], pid);
        return;
    }
    char what[80];
    snprintf(what, sizeof what, "cannot be started: %s", strerror(errno));
    grow_pause(process, clock_now());
    lament(process, what);
    try_later(process);
}

/* The packs are gone, and it gets no more values. */
static void forget_sources(struct process *process)
{
    process->source_count = 0;
    process->owed_count = 0;
}

/* End of file tells it to end. */
static void leave(struct process *process, bool gone)
{
    struct ev_loop *loop = process->outlets->loop;
    process->leaving = true;
    process->gone = gone;
    ev_timer_stop(loop, &process->timer);
    if (process->pid == 0)
        return;
    if (gone && process->fd >= 0) {
        uint8_t bytes[PIPE_SMALL_MAX];
        struct pipe_message message = pipe_new(PIPE_END, bytes, sizeof bytes);
        if (!hand_over(process, bytes, pipe_finish(&message)))
            close_pipe(process);
    } else if (process->fd >= 0) {
        /* End of file for it; what it wants to have kept is still to be read. */
        shutdown(process->fd, SHUT_WR);
    }
    forget_sources(process);
    ev_timer_set(&process->timer, gone ? WITHDRAW_S : END_S, 0);
    ev_timer_start(loop, &process->timer);
}

/* ---- from the configuration ---- */

static bool wants(const struct outlet_config *outlet, const struct source *source)
{
    for (unsigned i = 0; i < outlet->pack_count; i++)
        if (strcmp(outlet->packs[i], source->name) == 0)
            return true;
    return outlet->pack_count == 0;
}

static void put_pack(struct pipe_message *message, const struct source *source)
{
    struct pipe_pack pack = {
        .unit = source->unit,
        .writable = source->writable,
        .is_bank = source->members != NULL,
        .capacity_ah = source->capacity_ah,
        .member_count = source->member_count,
    };
    snprintf(pack.name, sizeof pack.name, "%s", source->name);
    if (source->line)
        snprintf(pack.line, sizeof pack.line, "%s", source->line);
    for (unsigned i = 0; i < source->member_count; i++)
        snprintf(pack.members[i], sizeof pack.members[i], "%s", source->members[i]->name);
    pipe_pack(message, &pack);
}

static void put_page(struct process *process, struct pipe_config *config)
{
    const struct web_config *web = packs_config(process->outlets->packs)->web;
    char host[65] = "";
    gethostname(host, sizeof host - 1);
    if (!process->kind->tells_page || !web || !host[0] ||
        !web_address(web, host, config->page, sizeof config->page))
        config->page[0] = '\0';
}

/* Its config is all that an outlet depends on: while these bytes are the same it goes on. */
static bool compose_config(struct process *process, const void *section)
{
    struct outlets *outlets = process->outlets;
    struct pipe_config config = {
        .id_kept = packs_config(outlets->packs)->gateway.state_file[0] != '\0',
        .started_at = packs_started_at(outlets->packs),
        .settings = section,
        .settings_size = process->kind->size,
        .pack_count = process->source_count,
    };
    snprintf(config.version, sizeof config.version, "%s", PACKGATE_VERSION);
    snprintf(config.kind, sizeof config.kind, "%s", process->kind->name);
    snprintf(config.section, sizeof config.section, "%s", process->section);
    snprintf(config.id, sizeof config.id, "%s", kept_id(outlets->kept));
    put_page(process, &config);
    struct pipe_message message = pipe_new(PIPE_CONFIG, outlets->room, PIPE_MESSAGE_MAX);
    memset(outlets->room, 0, 1024); /* the gap before the settings */
    message = pipe_new(PIPE_CONFIG, outlets->room, PIPE_MESSAGE_MAX);
    pipe_config(&message, &config);
    for (unsigned n = 0; n < process->source_count; n++)
        put_pack(&message, process->sources[n]);
    process->config_size = pipe_finish(&message);
    process->config = process->config_size ? malloc(process->config_size) : NULL;
    if (!process->config)
        return false;
    memcpy(process->config, outlets->room, process->config_size);
    return true;
}

static bool find_sources(struct process *process, const struct outlet_config *section)
{
    const struct packs *packs = process->outlets->packs;
    unsigned count = 0;
    while (packs_at(packs, count))
        count++;
    process->sources = calloc(count + 1, sizeof *process->sources);
    process->owed = calloc(count + 1, sizeof *process->owed);
    process->sequences = calloc(count + 1, sizeof *process->sequences);
    process->events = calloc(EVENTS_MAX, sizeof *process->events);
    if (!process->sources || !process->owed || !process->sequences || !process->events)
        return false;
    for (unsigned n = 0; n < count; n++)
        if (wants(section, packs_at(packs, n)))
            process->sources[process->source_count++] = packs_at(packs, n);
    return true;
}

static struct process *new_process(struct outlets *outlets, const struct kind *kind,
                                   const struct outlet_config *section)
{
    struct process *process = calloc(1, sizeof *process);
    if (!process)
        return NULL;
    process->outlets = outlets;
    process->kind = kind;
    process->fd = -1;
    snprintf(process->section, sizeof process->section, "%s", section->name);
    snprintf(process->title, sizeof process->title, "%s%s%s", kind->name,
             section->name[0] ? " " : "", section->name);
    ev_init(&process->readable, on_readable);
    ev_init(&process->child, on_ended);
    ev_init(&process->timer, on_timer);
    ev_init(&process->rest, on_rested);
    process->readable.data = process->child.data = process->timer.data = process->rest.data =
        process;
    if (find_sources(process, section) && compose_config(process, section))
        return process;
    free_process(process);
    return NULL;
}

static struct process *find_process(const struct outlets *outlets, const char *title)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (strcmp(process->title, title) == 0)
            return process;
    return NULL;
}

/* The same outlet over the same packs: it goes on, its sources are those of now. */
static bool goes_on(struct process *running, struct process *fresh)
{
    if (running->leaving || running->config_size != fresh->config_size ||
        memcmp(running->config, fresh->config, running->config_size) != 0)
        return false;
    const struct source **sources = running->sources;
    running->sources = fresh->sources;
    fresh->sources = sources;
    return true;
}

static void take_up(struct outlets *outlets, struct process *fresh, struct process **kept)
{
    struct process *running = find_process(outlets, fresh->title);
    if (running && goes_on(running, fresh)) {
        unlink_process(running);
        running->next = *kept;
        *kept = running;
        free_process(fresh);
    } else if (running && running->pid > 0) {
        leave(running, false);
        free_process(running->successor);
        running->successor = fresh;
        unlink_process(running);
        running->next = *kept;
        *kept = running;
    } else {
        if (running) {
            unlink_process(running);
            free_process(running);
        }
        fresh->next = *kept;
        *kept = fresh;
        fresh->waits = true;
    }
}

/* Its section is gone. One that does not run just now, or has not made room for its successor yet,
 * is started for the last time, to withdraw. False: there is nothing of it any more. */
static bool dismiss(struct process *process)
{
    if (process->successor) {
        forget_sources(process->successor);
        process->successor->gone = true;
        return true;
    }
    if (process->leaving)
        return true;
    if (process->pid == 0 && !process->waits) {
        ev_timer_stop(process->outlets->loop, &process->timer);
        forget_sources(process);
        start(process);
    }
    leave(process, true);
    return process->pid > 0;
}

/* What is left over in the old list belongs to no section any more. */
static void dismiss_all(struct outlets *outlets, struct process **kept)
{
    while (outlets->first) {
        struct process *process = outlets->first;
        outlets->first = process->next;
        if (!dismiss(process)) {
            free_process(process);
            continue;
        }
        process->next = *kept;
        *kept = process;
    }
}

/* A section that says none. */
static bool is_off(const struct kind *kind, const void *section)
{
    const struct history_config *history = section;
    return strcmp(kind->name, "history") == 0 && !history->file[0];
}

static void renew(struct outlets *outlets)
{
    const char *config = (const char *) packs_config(outlets->packs);
    struct process *kept = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *list;
        unsigned count;
        memcpy(&list, config + kinds[i].list_at, sizeof list);
        if (kinds[i].count_at == ONE)
            count = list && !is_off(&kinds[i], list);
        else
            memcpy(&count, config + kinds[i].count_at, sizeof count);
        for (unsigned n = 0; n < count; n++) {
            const struct outlet_config *section = (const void *) (list + n * kinds[i].size);
            struct process *fresh = new_process(outlets, &kinds[i], section);
            if (fresh)
                take_up(outlets, fresh, &kept);
            else
                log_error("%s %s: out of memory, or too many packs", kinds[i].name, section->name);
        }
    }
    dismiss_all(outlets, &kept);
    outlets->first = kept;
    start_waiting(outlets);
}

static void on_renewed(void *data, double now)
{
    (void) now;
    renew(data);
}

/* ---- life ---- */

/* Beside the program in a build folder, else where both were installed. */
void outlets_program(const char *kind, char out[PORT_SIZE])
{
    char self[PORT_SIZE - 64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    self[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    snprintf(out, PORT_SIZE, "%s/" PROGRAM "-%s", self, kind);
    if (access(out, X_OK) < 0)
        snprintf(out, PORT_SIZE, "%s/../lib/packgate/" PROGRAM "-%s", self, kind);
}

struct outlets *outlets_new(struct ev_loop *loop, struct packs *packs, struct kept *kept)
{
    struct outlets *outlets = calloc(1, sizeof *outlets);
    uint8_t *room = malloc(PIPE_MESSAGE_MAX);
    if (!outlets || !room) {
        free(outlets);
        free(room);
        return NULL;
    }
    outlets->loop = loop;
    outlets->packs = packs;
    outlets->kept = kept;
    outlets->room = room;
    outlets->observer = (struct observer){
        .changed = on_changed, .ordered = on_ordered, .renewed = on_renewed, .data = outlets};
    packs_observe(packs, &outlets->observer);
    renew(outlets);
    return outlets;
}

void outlets_free(struct outlets *outlets)
{
    if (!outlets)
        return;
    packs_unobserve(outlets->packs, &outlets->observer);
    while (outlets->first) {
        struct process *process = outlets->first;
        outlets->first = process->next;
        process->source_count = 0; /* no orders any more: the lines are gone */
        drain(process);
        /* One that somebody has stopped would stay for ever; the others end by their end of file. */
        if (process->pid > 0)
            kill(process->pid, SIGCONT);
        free_process(process);
    }
    free(outlets->room);
    free(outlets);
}

void outlets_serve(struct outlets *outlets, outlets_answer *answer, void *data)
{
    outlets->answer = answer;
    outlets->answer_data = data;
}

bool outlets_commit(const struct outlets *outlets)
{
    uint8_t bytes[PIPE_SMALL_MAX];
    bool asked = false;
    for (const struct process *process = outlets->first; process; process = process->next) {
        if (process->leaving || process->fd < 0 || strcmp(process->kind->name, "history") != 0)
            continue;
        struct pipe_message message = pipe_new(PIPE_COMMIT, bytes, sizeof bytes);
        const size_t size = pipe_finish(&message);
        asked |= send(process->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t) size;
    }
    return asked;
}

bool outlets_state(const struct outlets *outlets, unsigned n, struct outlet_state *state)
{
    for (const struct process *process = outlets->first; process; process = process->next) {
        if (process->leaving || n-- > 0)
            continue;
        *state = (struct outlet_state){
            .kind = process->kind->name,
            .section = process->section,
            .pid = process->pid,
            .ended = process->ended,
            .sent = process->sent,
            .owed = process->refused,
            .connected = process->report.connected,
            .published = process->report.sent,
            .dropped = process->report.dropped,
            .failed = process->report.failed,
            .refused = process->report.refused,
            .queued = process->report.queued,
            .behind_s = process->report.behind_s,
            .words = process->report.words,
        };
        return true;
    }
    return false;
}
