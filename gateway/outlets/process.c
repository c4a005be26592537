// SPDX-License-Identifier: MIT
#include "process.h"
#include "outlet.h"
#include "program.h"

#include "base/backoff.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "packgate-outlet" /* what ps shows; the file has the kind behind it */
#define FIRST_PAUSE_S 1.0
#define LONGEST_PAUSE_S 60.0
#define STEADY_S 60.0 /* an outlet that ran for so long starts with the first pause again */
#define END_S (OUTLET_END_S + 1)           /* one that was asked to end is killed after that */
#define WITHDRAW_S (OUTLET_WITHDRAW_S + 1) /* the same of one whose section is gone for good */
#define EVENTS (SOURCE_STATE | SOURCE_SWITCHES | SOURCE_ALARMS)
#define LAST_MESSAGES 1000 /* more than its pipe holds */
#define TURN_MESSAGES 32   /* messages of one outlet, before others have their turn */
#define REST_S 0.02 /* seconds, after TURN_MESSAGES or a message that takes time to carry out */

/*
 * Each outlet is owed at most one message per pack: the changes since the last accepted message,
 * with the values at the time when the next one is accepted. A change of state, switches or alarms
 * is an event, however, and must not be merged into the next one: as long as there is room such
 * messages wait in their order.
 */

bool process_send(struct process *process, const struct pipe_message *message)
{
    const bool sent = pipe_send(process->fd, message, -1);
    process->sent += sent;
    process->refused += !sent;
    return sent;
}

/* Whether it is owed changes of any pack. */
static bool owes(const struct process *process)
{
    for (unsigned n = 0; n < process->source_count; n++)
        if (process->feeds[n].owed)
            return true;
    return false;
}

static struct pipe_message compose_values(struct process *process, unsigned n, unsigned changes,
                                          double now)
{
    const struct source *source = process->sources[n];
    const struct feed *feed = &process->feeds[n];
    const bool published = changes & SOURCE_PUBLISHED && feed->published > 0;
    struct pipe_message message = {.type = PIPE_VALUES,
                                   .values = {
                                       .pack = n,
                                       .changes = changes,
                                       .sequence = feed->sequence + 1,
                                       .at = now,
                                       /* Values that wait, in the pipe or for room in it, are from
                                        * when they were published, and more may follow. */
                                       .wall = published       ? feed->published
                                               : owes(process) ? 0
                                                               : process->outlets->wall,
                                       .good_until = source->good_until,
                                       .settle_s = source->settle_s,
                                       /* It can have been owed for a while: its age is of now. */
                                       .status = source_status_at(source, now),
                                       .is_bank = source->status.bank != NULL,
                                       .whole = (changes & ~(unsigned) SOURCE_AGED) != 0,
                                   }};
    struct pipe_values *values = &message.values;
    struct map_status *status = &values->status;
    if (status->driver)
        snprintf(values->driver, sizeof values->driver, "%s", status->driver);
    if (status->driver_title)
        snprintf(values->driver_title, sizeof values->driver_title, "%s", status->driver_title);
    if (status->bank)
        values->bank = *status->bank;
    if (values->whole)
        values->values = *source->values;
    /* Addresses of this process are nobody's business. */
    status->driver = status->driver_title = status->pack_name = NULL;
    status->bank = NULL;
    return message;
}

static bool send_values(struct process *process, unsigned n, unsigned changes, double now)
{
    const struct pipe_message message = compose_values(process, n, changes, now);
    const bool sent = process_send(process, &message);
    process->feeds[n].sequence += sent;
    return sent;
}

static void drop_first_event(struct process *process)
{
    process->first_event = (process->first_event + 1) % EVENTS_MAX;
    process->event_count--;
}

/* If there is no room, the oldest event is dropped: the state that it led to is still sent. */
static void keep_event(struct process *process, const struct pipe_message *message)
{
    if (process->event_count == EVENTS_MAX) {
        drop_first_event(process);
        if (!process->lost_events)
            log_warn("outlet %s: does not read, events are dropped", process->title);
        process->lost_events = true;
    }
    process->events[(process->first_event + process->event_count++) % EVENTS_MAX] = *message;
}

/* Sends a message that must not be lost: it is queued behind those that wait. */
static void send_event(struct process *process, const struct pipe_message *message)
{
    if (process->event_count > 0 || !process_send(process, message))
        keep_event(process, message);
}

/* Sends events that wait, then owed packs, beginning with the one at which the pipe was full the last time. */
static void send_owed(struct process *process, double now)
{
    while (process->event_count > 0) {
        if (!process_send(process, &process->events[process->first_event]))
            return;
        drop_first_event(process);
    }
    process->lost_events = false;
    for (unsigned i = 0; i < process->source_count; i++) {
        const unsigned n = process->turn, owed = process->feeds[n].owed;
        if (owed && !send_values(process, n, owed, now))
            return;
        process->feeds[n].owed = 0;
        process->turn = (n + 1) % process->source_count;
    }
}

static void send_or_owe(struct process *process, unsigned n, unsigned changes, double now)
{
    if (changes & SOURCE_PUBLISHED)
        process->feeds[n].published = process->outlets->wall;
    if (process->fd < 0)
        return;
    /* Masters rely on an outlet that lingers, and would never get an answer from a hung one. The
     * kernel knows what it has not read. Other kinds may wait for a disk. */
    int unread = 0;
    if (ioctl(process->fd, TIOCOUTQ, &unread) < 0 || unread == 0)
        process->read_at = now;
    if (process->kind->lingers && now - process->read_at > OUTLET_DEAF_S) {
        log_error("outlet %s: has read nothing for %.0f s; killing and restarting it",
                  process->title, OUTLET_DEAF_S);
        process->read_at = now;
        kill(process->pid, SIGKILL);
        return;
    }
    send_owed(process, now);
    const bool waits = process->event_count > 0 || owes(process);
    if (!waits && send_values(process, n, changes, now))
        return;
    if (changes & EVENTS) {
        const struct pipe_message message =
            compose_values(process, n, changes | process->feeds[n].owed, now);
        process->feeds[n].sequence++;
        keep_event(process, &message);
        process->feeds[n].owed = 0;
    } else {
        if (changes & SOURCE_PUBLISHED)
            process->feeds[n].sequence++;
        process->feeds[n].owed |= changes;
    }
}

void process_tell_changed(void *data, const struct source *source, unsigned changes, double now)
{
    struct outlets *outlets = data;
    outlets->wall = clock_wall();
    for (struct process *process = outlets->first; process; process = process->next)
        for (unsigned n = 0; n < process->source_count; n++)
            if (process->sources[n] == source)
                send_or_owe(process, n, changes, now);
}

void process_tell_ordered(void *data, const struct source *source,
                          const struct order_report *report)
{
    if (report->ordered.sets) /* an order for a setting is visible by its value */
        return;
    struct outlets *outlets = data;
    struct pipe_message message = {.type = PIPE_ORDERED,
                                   .ordered = {.what = report->ordered, .result = report->result}};
    struct pipe_ordered *ordered = &message.ordered;
    snprintf(ordered->from, sizeof ordered->from, "%s", report->from);
    for (struct process *process = outlets->first; process; process = process->next)
        for (ordered->pack = 0; ordered->pack < process->source_count; ordered->pack++)
            if (process->sources[ordered->pack] == source && process->fd >= 0)
                send_event(process, &message);
}

/* The process of a ticket, whose upper half is the pid; NULL: it has ended, and maybe been replaced. */
static struct process *find_asker(const struct outlets *outlets, uint64_t ticket)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (process->fd >= 0 && (uint64_t) process->pid == ticket >> 32)
            return process;
    return NULL;
}

static void on_order_over(void *data, uint64_t ticket, enum order_result result)
{
    struct process *process = find_asker(data, ticket);
    if (process)
        send_event(process, &(struct pipe_message){.type = PIPE_DONE,
                                                   .done = {ticket & UINT32_MAX, result}});
}

/* An outlet sends orders only if its section permits it. One that sends them without permission
 * has been taken over through its network, or is broken. */
static bool may_order(struct process *process, const struct switches *what)
{
    const bool may = process->may_order && (!what->sets || process->kind->may_set);
    if (!may && !process->trespassed)
        log_error("outlet %s: rejected an order that its section does not allow; the process may "
                  "be compromised",
                  process->title);
    process->trespassed |= !may;
    return may;
}

static void handle_order(struct process *process, const struct pipe_order *order, bool late)
{
    struct outlets *outlets = process->outlets;
    if (order->pack >= process->source_count || order->ticket > UINT32_MAX)
        return;
    const uint64_t ticket = (uint64_t) process->pid << 32 | order->ticket;
    const enum order_result result =
        !may_order(process, &order->what) ? ORDER_NOT_ALLOWED
        : late                            ? ORDER_TOO_LATE
               : packs_order(outlets->packs, process->sources[order->pack],
                             &(struct order_request){order->what, process->title, on_order_over,
                                                     outlets, ticket});
    if (result != ORDER_PENDING)
        on_order_over(outlets, ticket, result);
}

void process_answer(const struct outlets *outlets, uint64_t ticket, const char *text)
{
    struct process *process = find_asker(outlets, ticket);
    if (!process)
        return;
    const int fd = text ? pipe_text_file(text, strlen(text)) : -1;
    const struct pipe_message answer = {.type = PIPE_ANSWER, .answer = {ticket & UINT32_MAX}};
    /* If the pipe is full the answer is lost: the outlet gives up after OUTLET_ANSWER_S. */
    if (!pipe_send(process->fd, &answer, fd))
        process->refused++;
    if (fd >= 0)
        close(fd);
}

/* A late question may be one that opens a tunnel: it is not answered. */
static void handle_question(struct process *process, const struct pipe_question *question, int file,
                            bool late)
{
    const struct outlets *outlets = process->outlets;
    size_t size = 0;
    if (question->ticket > UINT32_MAX)
        return;
    char *text = outlets->asked && !late ? pipe_file_text(file, PIPE_QUESTION_MOST, &size) : NULL;
    const uint64_t ticket = (uint64_t) process->pid << 32 | question->ticket;
    if (text)
        outlets->asked(outlets->asked_data,
                       &(struct pipe_heard){process->title, process->may_order, text, ticket});
    else
        process_answer(outlets, ticket, NULL);
    free(text);
}

/* Returns whether handling it took time. */
static bool handle_message(struct process *process, const struct pipe_message *message, int file,
                           enum process_hearing how)
{
    const bool late = how == PROCESS_LATE || late_turn_is_on(process->outlets->loop, clock_now());
    switch (message->type) {
    case PIPE_ORDER:
        handle_order(process, &message->order, late);
        return true;
    case PIPE_NOTE:
        kept_set_note(process->outlets->kept, process->title, message->note.key,
                      message->note.text);
        break;
    case PIPE_REPORT:
        process->report = message->report;
        break;
    case PIPE_QUESTION:
        if (how != PROCESS_LAST)
            handle_question(process, &message->question, file, late);
        return true;
    default:
        log_debug("outlet %s: received a malformed message", process->title);
    }
    return false;
}

/* Closes the pipe; it may be closed already. */
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

ssize_t process_hear(struct process *process, enum process_hearing how)
{
    const int most = how == PROCESS_NOW ? TURN_MESSAGES : LAST_MESSAGES;
    ssize_t size = 1;
    bool through = false;
    for (int i = 0; i < most && process->fd >= 0 && size > 0 && !through; i++) {
        int file;
        struct pipe_message message;
        size = pipe_receive(process->fd, &message, &file);
        if (size > 0)
            through = handle_message(process, &message, file, how) && how == PROCESS_NOW;
        if (file >= 0)
            close(file);
    }
    return size;
}

/* An outlet that floods its pipe gets its turn, then a pause, so that it cannot keep the gateway busy. */
static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct process *process = io->data;
    const ssize_t size = process_hear(process, PROCESS_NOW);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        /* The outlet has closed its pipe: it is killed if it does not end soon. */
        close_pipe(process);
        timer_restart(loop, &process->timer, END_S);
    } else if (process->fd >= 0) {
        ev_io_stop(loop, io);
        timer_restart(loop, &process->rest, REST_S);
    }
}

static void on_rested(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct process *process = timer->data;
    ev_io_start(loop, &process->readable);
}

void process_free(struct process *process)
{
    if (!process)
        return;
    struct ev_loop *loop = process->outlets->loop;
    close_pipe(process);
    ev_child_stop(loop, &process->child);
    ev_timer_stop(loop, &process->timer);
    free(process->config);
    free(process->sources);
    free(process->feeds);
    free(process);
}

void process_unlink(struct process *process)
{
    struct process **at = &process->outlets->first;
    while (*at != process)
        at = &(*at)->next;
    *at = process->next;
}

/* Restarts it after a pause. Logged once, until it has run for a while. `well`: it had no trouble of its own. */
static void try_later(struct process *process, bool well, const char *what)
{
    const bool steady = clock_now() - process->started_at >= STEADY_S;
    process->doubted &= !steady;
    if (well || steady)
        process->pause_s = 0;
    backoff_grow(&process->pause_s, FIRST_PAUSE_S, LONGEST_PAUSE_S);
    timer_restart(process->outlets->loop, &process->timer, process->pause_s);
    if (!process->doubted)
        log_warn("outlet %s: %s; restarting it, after pauses of 1 s to 60 s", process->title, what);
    else
        log_debug("outlet %s: %s; next in %.0f s", process->title, what, process->pause_s);
    process->doubted = true;
}

static void on_ended(struct ev_loop *loop, ev_child *child, int revents)
{
    struct process *process = child->data;
    ev_child_stop(loop, child);
    ev_timer_stop(loop, &process->timer);
    process_hear(process, PROCESS_LAST);
    process->pid = 0;
    close_pipe(process);
    process->report = (struct pipe_report){0};
    if (process->leaving) {
        struct outlets *outlets = process->outlets;
        process_unlink(process);
        process_free(process);
        process_start_waiting(outlets);
        return;
    }
    char what[80];
    const int status = child->rstatus, number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    process->ended++;
    /* A single kill from outside is not counted as a failure. An outlet that is killed again as soon
     * as it runs has one: it may take too much memory. */
    const bool well = number == SIGKILL && clock_now() - process->started_at > process->pause_s;
    if (number)
        snprintf(what, sizeof what, "ended by signal %d (%s)", number, strsignal(number));
    else
        snprintf(what, sizeof what, "ended with status %d", WEXITSTATUS(status));
    try_later(process, well, what);
}

/* In the child. Only the first three descriptors and the pipe stay open; standard input is empty. */
static void run_program(const struct process *process, int fd, pid_t parent)
{
    char program[PORT_SIZE];
    program_find(process->kind->word, program);
    if (access(program, X_OK) < 0) { /* said while the log's own descriptor is open */
        if (!process->doubted)
            log_error("outlet %s: %s cannot be started: %s", process->title, program,
                      program_why(errno));
        _exit(127);
    }
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0)
        dup2(null, STDIN_FILENO);
    child_settle(fd);
    child_reset_signals();
    /* It ends whenever the gateway ends; the setting survives exec. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* Capabilities of the gateway (for a port below 1024) are not inherited. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    if (log_enabled(LOG_LEVEL_DEBUG))
        setenv("PACKGATE_DEBUG", "1", 1);
    execl(program, PROGRAM, process->kind->word, process->section[0] ? process->section : NULL,
          NULL);
    _exit(127);
}

static void adopt_child(struct process *process, int fd, pid_t pid)
{
    struct ev_loop *loop = process->outlets->loop;
    process->fd = fd;
    process->pid = pid;
    process->started_at = process->read_at = clock_now();
    ev_child_set(&process->child, pid, 0);
    ev_child_start(loop, &process->child);
    ev_io_set(&process->readable, fd, EV_READ);
    ev_io_start(loop, &process->readable);
    process->turn = 0;
    process->trespassed = false;
    for (unsigned n = 0; n < process->source_count; n++)
        process->feeds[n].owed |= SOURCE_PUBLISHED | SOURCE_AGED;
    /* The config, with the notes of the outlet behind. */
    const int file = pipe_text_file(process->config, process->config_size);
    bool good = file >= 0 && lseek(file, 0, SEEK_END) >= 0;
    const struct kept_note *at = NULL;
    while (good && (at = kept_next_note(process->outlets->kept, process->title, at))) {
        struct pipe_note note = {{0}, {0}};
        snprintf(note.key, sizeof note.key, "%s", at->key);
        snprintf(note.text, sizeof note.text, "%s", at->text);
        good = write(file, &note, sizeof note) == (ssize_t) sizeof note;
    }
    good = good && pipe_send(fd, &(struct pipe_message){.type = PIPE_CONFIG}, file);
    if (file >= 0)
        close(file);
    if (!good) {
        log_error("outlet %s: out of memory", process->title);
        close_pipe(process);
    }
    if (process->gone) /* it is started only to withdraw */
        process_leave(process, true);
}

static void start_process(struct process *process)
{
    int pair[2];
    pid_t parent = getpid(), pid = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0) {
        pid = fork();
        if (pid == 0) {
            /* Descriptors without close-on-exec survive exec. */
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
        adopt_child(process, pair[0], pid);
        return;
    }
    char what[80];
    snprintf(what, sizeof what, "cannot be started: %s", strerror(errno));
    try_later(process, false, what);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct process *process = timer->data;
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
    else
        start_process(process);
}

/* Its predecessor has not ended, or others of its kind have to withdraw first. */
static bool is_blocked(const struct process *process)
{
    const struct process *other = process->outlets->first;
    for (; other; other = other->next)
        if (other != process && ((other->leaving && strcmp(other->title, process->title) == 0) ||
                                 (other->kind == process->kind && other->gone && !process->gone)))
            return true;
    return false;
}

void process_start_waiting(struct outlets *outlets)
{
    for (struct process *process = outlets->first; process; process = process->next)
        if (process_waits(process) && !is_blocked(process))
            start_process(process);
}

void process_leave(struct process *process, bool gone)
{
    process->leaving = true;
    process->gone = gone;
    if (gone && process->fd >= 0) {
        if (!process_send(process, &(struct pipe_message){.type = PIPE_END}))
            close_pipe(process);
    } else if (process->fd >= 0) {
        /* The outlet reads end of file; the notes that it still sends are read. */
        shutdown(process->fd, SHUT_WR);
    }
    process->source_count = 0;
    timer_restart(process->outlets->loop, &process->timer,
                  gone || process->kind->lingers ? WITHDRAW_S : END_S);
}

void process_init(struct process *process)
{
    process->fd = -1;
    ev_init(&process->readable, on_readable);
    ev_init(&process->rest, on_rested);
    ev_init(&process->child, on_ended);
    ev_init(&process->timer, on_timer);
    process->readable.data = process->child.data = process->timer.data = process->rest.data =
        process;
}
