// SPDX-License-Identifier: MIT
/* Runs work in child processes. */
#include "worker.h"

#include "base/child.h"
#include "base/queue.h"
#include "base/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PIECE 65536

struct job {
    struct workers *workers;
    worker_work *work;
    void *data;
    size_t data_size;
    worker_done *done;
    void *owner;
    pid_t pid; /* 0: the job waits */
    int fd;
    ev_io readable;
    ev_timer limit;
    char *bytes;
    size_t size, room;
    TAILQ_ENTRY(job) entry;
};

struct workers {
    struct ev_loop *loop;
    unsigned most;
    double longest_s;
    void (*told)(void *data, const char *why);
    void *data;
    unsigned running;
    TAILQ_HEAD(, job) jobs;
};

static void start_jobs(struct workers *workers);

/* libev reaps the child: waiting for it would block on a disk that hangs. */
static void free_job(struct job *job)
{
    struct workers *workers = job->workers;
    ev_timer_stop(workers->loop, &job->limit);
    if (job->pid > 0) {
        ev_io_stop(workers->loop, &job->readable);
        kill(job->pid, SIGKILL);
        close(job->fd);
        workers->running--;
    }
    TAILQ_REMOVE(&workers->jobs, job, entry);
    free(job->bytes);
    free(job->data);
    free(job);
}

void worker_cancel(void *data)
{
    struct job *job = data;
    struct workers *workers = job->workers;
    free_job(job);
    start_jobs(workers);
}

/* Closes the page's sockets, so that cutting a client in the parent closes its connection. */
static void work_in_child(struct job *job, int fd, pid_t parent)
{
    struct worker_result result = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
    child_reset_signals();
    signal(SIGCONT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fd = child_settle(fd);
    if (getppid() != parent)
        _exit(1);
    job->work(job->data, &result);
    result.size = result.text ? strlen(result.text) : 0;
    _exit(!write_fully(fd, &result, sizeof result) || !write_fully(fd, job->data, job->data_size) ||
          !write_fully(fd, result.text, result.size));
}

/* The child has written its result, whose text is elsewhere here, the data, and the text. All is dropped if it was not
 * received whole. */
static void finish_job(struct job *job)
{
    struct workers *workers = job->workers;
    struct worker_result result = {.text = NULL}, sent = result;
    const size_t start = sizeof sent + job->data_size;
    if (job->size >= sizeof sent)
        memcpy(&sent, job->bytes, sizeof sent);
    if (job->size >= start && job->size == start + sent.size) {
        memcpy(job->data, job->bytes + sizeof sent, job->data_size);
        result = sent;
        result.text = sent.text ? strndup(job->bytes + start, sent.size) : NULL;
        workers->told(workers->data, sent.why);
    }
    worker_done *done = job->done;
    void *const owner = job->owner, *const data = job->data;
    job->data = NULL;
    free_job(job);
    done(owner, &result, data);
    free(result.text);
    free(data);
    start_jobs(workers);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    finish_job(timer->data);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    struct job *job = io->data;
    if (job->room - job->size < PIECE) {
        char *more = realloc(job->bytes, 2 * job->room + PIECE);
        if (!more) {
            finish_job(job);
            return;
        }
        job->bytes = more;
        job->room = 2 * job->room + PIECE;
    }
    const ssize_t n = read(job->fd, job->bytes + job->size, PIECE);
    if (n > 0)
        job->size += (size_t) n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        finish_job(job);
}

static bool start_job(struct job *job)
{
    int pair[2];
    const pid_t parent = getpid();
    if (pipe2(pair, O_CLOEXEC) < 0)
        return false;
    job->pid = fork();
    if (job->pid == 0)
        work_in_child(job, pair[1], parent);
    close(pair[1]);
    if (job->pid < 0) {
        close(pair[0]);
        job->pid = 0;
        return false;
    }
    struct workers *workers = job->workers;
    workers->running++;
    job->fd = pair[0];
    fcntl(job->fd, F_SETFL, O_NONBLOCK);
    ev_io_init(&job->readable, on_readable, job->fd, EV_READ);
    job->readable.data = job;
    ev_io_start(workers->loop, &job->readable);
    return true;
}

bool workers_busy(const struct workers *workers)
{
    return workers->running == workers->most;
}

/* A job that cannot be started ends without a result, in a later turn. */
static void start_jobs(struct workers *workers)
{
    struct job *job;
    TAILQ_FOREACH(job, &workers->jobs, entry)
    {
        if (workers_busy(workers))
            return;
        if (job->pid > 0 || ev_is_active(&job->limit))
            continue;
        ev_timer_set(&job->limit, start_job(job) ? workers->longest_s : 0, 0);
        ev_timer_start(workers->loop, &job->limit);
    }
}

struct job *worker_start(struct workers *workers, worker_work *work, const void *data, size_t size,
                         worker_done *done, void *owner)
{
    struct job *job = calloc(1, sizeof *job);
    if (job)
        job->data = malloc(size);
    if (!job || !job->data) {
        free(job);
        return NULL;
    }
    memcpy(job->data, data, size);
    *job = (struct job){.workers = workers,
                        .work = work,
                        .data = job->data,
                        .data_size = size,
                        .done = done,
                        .owner = owner};
    ev_init(&job->limit, on_limit);
    job->limit.data = job;
    TAILQ_INSERT_TAIL(&workers->jobs, job, entry);
    start_jobs(workers);
    return job;
}

struct workers *workers_new(struct ev_loop *loop, unsigned most, double longest_s,
                            void (*told)(void *data, const char *why), void *data)
{
    struct workers *workers = malloc(sizeof *workers);
    if (!workers)
        return NULL;
    *workers = (struct workers){
        .loop = loop, .most = most, .longest_s = longest_s, .told = told, .data = data};
    TAILQ_INIT(&workers->jobs);
    return workers;
}

void workers_free(struct workers *workers)
{
    struct job *job;
    while (workers && (job = TAILQ_FIRST(&workers->jobs)))
        free_job(job);
    free(workers);
}
