// SPDX-License-Identifier: MIT
/* Runs processes for set-up in the browser. */
#include "job.h"

#include "outlets/pipe.h"
#include "base/child.h"
#include "base/timer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LINE_MOST (1024 * 1024) /* bytes of one line, as large as a configuration may be */
#define READ_AT_ONCE (64 * 1024)

void job_run(const char *const *words, int input, int output)
{
    char self[] = "/proc/self/exe";
    char *list[JOB_WORDS + 2] = {(char[]){"packgate"}};
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(input, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(null, STDERR_FILENO); /* its output contains its errors, too */
    child_settle(-1);
    child_reset_signals();
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (size_t i = 0; i < JOB_WORDS && words[i]; i++)
        list[i + 1] = strdup(words[i]);
    execv(self, list);
    _exit(127);
}

static void close_output(struct job *job)
{
    if (job->fd < 0)
        return;
    ev_io_stop(job->loop, &job->readable);
    close(job->fd);
    job->fd = -1;
}

void job_stop(struct job *job)
{
    close_output(job);
    ev_timer_stop(job->loop, &job->deadline);
    if (job->pid > 0)
        kill(job->pid, SIGKILL);
    /* libev reaps the killed process without a watcher, too. */
    ev_child_stop(job->loop, &job->ended);
    job->pid = 0;
    free(job->text);
    free(job->line);
    job->text = job->line = NULL;
    job->size = 0;
}

bool job_runs(const struct job *job)
{
    return job->fd >= 0;
}

static void finish(struct job *job, enum job_end end)
{
    close_output(job);
    ev_timer_stop(job->loop, &job->deadline);
    if (job->over)
        job->over(job, end);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct job *job = io->data;
    char *text = job->size <= LINE_MOST ? realloc(job->text, job->size + READ_AT_ONCE) : NULL;
    if (!text) {
        finish(job, JOB_TOO_LONG);
        return;
    }
    job->text = text;
    const ssize_t size = read(job->fd, text + job->size, READ_AT_ONCE);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        finish(job, JOB_ENDED);
        return;
    }
    job->size += (size_t) size;
    /* `said` may stop the job, which discards the rest. */
    for (char *end; job->size > 0 && (end = memchr(job->text, '\n', job->size));) {
        free(job->line);
        job->line = strndup(job->text, (size_t) (end - job->text));
        job->size -= (size_t) (end + 1 - job->text);
        memmove(job->text, end + 1, job->size);
        if (job->said && job->line)
            job->said(job);
    }
}

static void on_ended(struct ev_loop *loop, ev_child *child, int revents)
{
    struct job *job = child->data;
    ev_child_stop(loop, child);
    job->pid = 0;
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct job *job = timer->data;
    if (job->pid > 0)
        kill(job->pid, SIGKILL);
    finish(job, JOB_SILENT);
}

void job_init(struct job *job, struct ev_loop *loop,
              void (*over)(struct job *job, enum job_end end), void *data)
{
    *job = (struct job){.loop = loop, .fd = -1, .over = over, .data = data};
    ev_init(&job->readable, on_readable);
    ev_init(&job->ended, on_ended);
    ev_init(&job->deadline, on_deadline);
    job->readable.data = job->ended.data = job->deadline.data = job;
}

void job_expect(struct job *job, double most_s)
{
    timer_restart(job->loop, &job->deadline, most_s);
}

void job_adopt(struct job *job, int fd, double most_s)
{
    job->fd = fd;
    ev_io_set(&job->readable, fd, EV_READ);
    ev_io_start(job->loop, &job->readable);
    job_expect(job, most_s);
}

bool job_start(struct job *job, const char *const *words, const char *request, double most_s)
{
    const int input = pipe_text_file(request, strlen(request));
    const pid_t parent = getpid();
    int pair[2] = {-1, -1};
    job_stop(job);
    if (input < 0 || pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0) {
        if (input >= 0)
            close(input);
        return false;
    }
    const pid_t pid = fork();
    if (pid == 0) {
        /* Its result is useless without the gateway. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        fcntl(pair[1], F_SETFL, 0);
        job_run(words, input, pair[1]);
    }
    close(input);
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return false;
    }
    job->pid = pid;
    ev_child_set(&job->ended, pid, 0);
    ev_child_start(job->loop, &job->ended);
    job_adopt(job, pair[0], most_s);
    return true;
}
