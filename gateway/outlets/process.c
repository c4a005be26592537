// SPDX-License-Identifier: MIT
/* The life cycle of an outlet process. */
#include "running.h"
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "packgate-outlet" /* what ps shows; the file has the kind behind it */
#define FIRST_PAUSE_S 1.0
#define LONGEST_PAUSE_S 60.0
#define STEADY_S 60.0 /* an outlet that ran for so long starts with the first pause again */
/* One whose section is gone for good is killed after that. */
#define WITHDRAW_S (OUTLET_WITHDRAW_S + 1)

void process_free(struct process *process)
{
    if (!process)
        return;
    struct ev_loop *loop = process->outlets->loop;
    hear_no_more(process);
    ev_child_stop(loop, &process->child);
    ev_timer_stop(loop, &process->timer);
    free(process->config);
    free(process->sources);
    free(process->feeds);
    free(process->events);
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

/* Its predecessor has not ended, or others of its kind have to withdraw first. */
static bool is_blocked(const struct process *process)
{
    const struct process *other = process->outlets->first;
    for (; other; other = other->next)
        if (other != process &&
            ((other->leaving && strcmp(other->title, process->title) == 0) ||
             (other->kind == process->kind && other->gone && !(process->gone && other->waits))))
            return true;
    return false;
}

void process_start_waiting(struct outlets *outlets)
{
    for (struct process *process = outlets->first; process; process = process->next) {
        if (!process->waits || is_blocked(process))
            continue;
        process->waits = false;
        process_start(process);
        if (process->gone) /* if only to withdraw */
            process_leave(process, true);
    }
}

static void on_ended(struct ev_loop *loop, ev_child *child, int revents)
{
    struct process *process = child->data;
    ev_child_stop(loop, child);
    ev_timer_stop(loop, &process->timer);
    hear_last(process);
    process->pid = 0;
    hear_no_more(process);
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

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct process *process = timer->data;
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
    else
        process_start(process);
}

/* In the child. Only the first three descriptors and the pipe stay open; standard input is empty.
 */
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
    /* Capabilities that the service manager gave the gateway (a port below 1024) are not
     * inherited. */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (getppid() != parent)
        _exit(1);
    if (log_enabled(LOG_LEVEL_DEBUG))
        setenv("PACKGATE_DEBUG", "1", 1);
    execl(program, PROGRAM, process->kind->word, process->section[0] ? process->section : NULL,
          NULL);
    _exit(127);
}

/* With the notes of the outlet behind. */
static bool send_config(struct process *process)
{
    const int file = pipe_text_file(process->config, process->config_size);
    bool good = file >= 0 && lseek(file, 0, SEEK_END) >= 0;
    const struct kept_note *at = NULL;
    while (good && (at = kept_next_note(process->outlets->kept, process->title, at))) {
        struct pipe_note note = {{0}, {0}};
        snprintf(note.key, sizeof note.key, "%s", at->key);
        snprintf(note.text, sizeof note.text, "%s", at->text);
        good = write(file, &note, sizeof note) == (ssize_t) sizeof note;
    }
    good = good && pipe_send(process->fd, &(struct pipe_message){.type = PIPE_CONFIG}, file);
    if (file >= 0)
        close(file);
    return good;
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
    process->deaf = process->trespassed = false;
    for (unsigned n = 0; n < process->source_count; n++)
        tell_owe(process, n, SOURCE_PUBLISHED | SOURCE_AGED);
    if (!send_config(process)) {
        log_error("outlet %s: out of memory", process->title);
        hear_no_more(process);
    }
}

void process_start(struct process *process)
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

void process_forget_sources(struct process *process)
{
    process->source_count = 0;
    process->owed_count = 0;
}

void process_leave(struct process *process, bool gone)
{
    process->leaving = true;
    process->gone = gone;
    ev_timer_stop(process->outlets->loop, &process->timer);
    if (process->pid == 0)
        return;
    if (gone && process->fd >= 0) {
        if (!tell_send(process, &(struct pipe_message){.type = PIPE_END}))
            hear_no_more(process);
    } else if (process->fd >= 0) {
        /* The outlet reads end of file; the notes that it still sends are read. */
        shutdown(process->fd, SHUT_WR);
    }
    process_forget_sources(process);
    timer_restart(process->outlets->loop, &process->timer,
                  gone || process->kind->lingers ? WITHDRAW_S : PROCESS_END_S);
}

void process_init(struct process *process)
{
    process->fd = -1;
    ev_init(&process->readable, hear_on_readable);
    ev_init(&process->rest, hear_on_rested);
    ev_init(&process->child, on_ended);
    ev_init(&process->timer, on_timer);
    process->readable.data = process->child.data = process->timer.data = process->rest.data =
        process;
}
