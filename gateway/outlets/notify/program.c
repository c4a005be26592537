// SPDX-License-Identifier: MIT
#include "sender.h"

#include "outlets/pipe.h"
#include "base/child.h"
#include "base/timer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM_S 30.0
#define NOT_STARTED 127

static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    struct program *program = child->data;
    const int status = child->rstatus;
    char why[80] = "";
    ev_child_stop(loop, child);
    ev_timer_stop(loop, &program->deadline);
    if (program->killed)
        snprintf(why, sizeof why, "it took longer than %.0f s and was killed", PROGRAM_S);
    else if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "it was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == NOT_STARTED)
        snprintf(why, sizeof why,
                 "it ended with %d: it or a program that it calls cannot be started", NOT_STARTED);
    else if (WEXITSTATUS(status) != 0)
        snprintf(why, sizeof why, "it ended with %d", WEXITSTATUS(status));
    program->over(program->data, !why[0], why);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct program *program = timer->data;
    program->killed = true;
    kill(-program->child.pid, SIGKILL);
    kill(program->child.pid, SIGKILL);
}

void program_init(struct program *program, struct ev_loop *loop,
                  void (*over)(void *data, bool good, const char *why), void *data)
{
    *program = (struct program){.loop = loop, .over = over, .data = data};
    ev_init(&program->child, on_child);
    ev_init(&program->deadline, on_deadline);
    program->child.data = program->deadline.data = program;
}

void program_stop(struct program *program)
{
    if (ev_is_active(&program->child)) {
        kill(-program->child.pid, SIGKILL);
        kill(program->child.pid, SIGKILL);
    }
    ev_child_stop(program->loop, &program->child);
    ev_timer_stop(program->loop, &program->deadline);
}

static _Noreturn void run_program(const char *path, const struct message *message, int file)
{
    char *arguments[] = {strdup(path), NULL};
    signal(SIGPIPE, SIG_DFL);
    child_reset_signals();
    setpgid(0, 0);
    setenv("PACKGATE_EVENT", notify_event_name(message->event), 1);
    setenv("PACKGATE_PACK", message->pack, 1);
    setenv("PACKGATE_LEVEL", message_level(message), 1);
    setenv("PACKGATE_TEXT", message->text, 1);
    dup2(file, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* both to the log */
    child_settle(-1);
    if (arguments[0])
        execv(path, arguments);
    _exit(NOT_STARTED);
}

bool program_start(struct program *program, const char *path, const struct message *message,
                   const char *json, char *why, size_t size)
{
    /* A file, because unlike a pipe it cannot block the writer. */
    int file = access(path, X_OK) == 0 ? pipe_text_file(json, strlen(json)) : -1;
    const pid_t pid = file >= 0 ? fork() : -1;
    if (pid == 0)
        run_program(path, message, file);
    if (pid < 0)
        snprintf(why, size, "%s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    if (pid < 0)
        return false;
    setpgid(pid, pid);
    program->killed = false;
    ev_child_set(&program->child, pid, 0);
    ev_child_start(program->loop, &program->child);
    timer_restart(program->loop, &program->deadline, PROGRAM_S);
    return true;
}
