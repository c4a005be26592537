// SPDX-License-Identifier: MIT
/* Answers that take long to make. */
#include "worker.h"

#include "compress.h"

#include "base/child.h"
#include "base/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WORKERS_MOST 4 /* more would only take the disk and the cores from each other */
#define LONGEST_S 10.0
#define PIECE 65536

/* What the child sends before the text. */
struct head {
    unsigned status;
    size_t size;
    char why[WORKER_WHY];
};

struct job {
    struct workers *workers;
    struct http_request *request;
    void (*work)(void *data, struct worker_result *result);
    void *data;
    pid_t pid; /* 0: it waits */
    int fd;
    ev_io readable;
    ev_timer limit;
    char *bytes;
    size_t size, room;
    TAILQ_ENTRY(job) entry;
};

struct workers {
    struct ev_loop *loop;
    void (*told)(void *data, const char *why);
    void *data;
    unsigned running;
    TAILQ_HEAD(, job) jobs;
};

static void start_jobs(struct workers *workers);

/* libev reaps it: a disk that hangs would keep whoever waits for its end. */
static void free_job(struct job *job)
{
    struct workers *workers = job->workers;
    if (job->pid > 0) {
        ev_io_stop(workers->loop, &job->readable);
        ev_timer_stop(workers->loop, &job->limit);
        kill(job->pid, SIGKILL);
        close(job->fd);
        workers->running--;
    }
    TAILQ_REMOVE(&workers->jobs, job, entry);
    free(job->bytes);
    free(job->data);
    free(job);
}

static void on_gone(void *data)
{
    struct job *job = data;
    struct workers *workers = job->workers;
    free_job(job);
    start_jobs(workers);
}

/* ---- in the child ---- */

static void write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno != EINTR)
            _exit(1);
        at += n > 0 ? n : 0;
        size -= n > 0 ? (size_t) n : 0;
    }
}

/* With the sockets of the page closed, for one that is cut has to be. */
static void work_in_child(struct job *job, int fd, pid_t parent)
{
    struct worker_result result = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
    struct head head = {0};
    child_reset_signals();
    signal(SIGCONT, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fd = child_settle(fd);
    if (getppid() != parent)
        _exit(1);
    job->work(job->data, &result);
    head.status = result.status;
    head.size = result.text ? strlen(result.text) : 0;
    memcpy(head.why, result.why, sizeof head.why);
    write_all(fd, &head, sizeof head);
    write_all(fd, result.text ? result.text : "", head.size);
    _exit(0);
}

/* ---- in the page ---- */

static void answer(struct job *job)
{
    struct workers *workers = job->workers;
    struct http_request *request = job->request;
    struct head head = {0};
    if (job->size >= sizeof head)
        memcpy(&head, job->bytes, sizeof head);
    const bool whole = head.size > 0 && job->size == sizeof head + head.size;
    char *text = whole ? malloc(head.size + 1) : NULL;
    if (text) {
        memcpy(text, job->bytes + sizeof head, head.size);
        text[head.size] = '\0';
    }
    request->over = NULL;
    free_job(job);
    if (whole)
        workers->told(workers->data, head.why);
    if (text && head.status == MHD_HTTP_OK) {
        http_answer(request, MHD_HTTP_OK,
                    compress_response(request, "application/json", text, head.size));
    } else {
        http_error(request, text ? head.status : MHD_HTTP_SERVICE_UNAVAILABLE,
                   text ? text : "the history cannot be read in time");
        free(text);
    }
    start_jobs(workers);
}

static void on_limit(struct ev_loop *loop, ev_timer *timer, int revents)
{
    (void) loop;
    (void) revents;
    answer(timer->data);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
    (void) loop;
    (void) revents;
    struct job *job = io->data;
    if (job->room - job->size < PIECE) {
        char *more = realloc(job->bytes, 2 * job->room + PIECE);
        if (!more) {
            answer(job);
            return;
        }
        job->bytes = more;
        job->room = 2 * job->room + PIECE;
    }
    const ssize_t n = read(job->fd, job->bytes + job->size, PIECE);
    if (n > 0)
        job->size += (size_t) n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        answer(job);
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
    ev_timer_init(&job->limit, on_limit, LONGEST_S, 0);
    job->readable.data = job->limit.data = job;
    ev_io_start(workers->loop, &job->readable);
    ev_timer_start(workers->loop, &job->limit);
    return true;
}

static void start_jobs(struct workers *workers)
{
    struct job *job, *next;
    for (job = TAILQ_FIRST(&workers->jobs); job && workers->running < WORKERS_MOST; job = next) {
        next = TAILQ_NEXT(job, entry);
        if (job->pid > 0 || start_job(job))
            continue;
        struct http_request *request = job->request;
        request->over = NULL;
        free_job(job);
        http_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory or processes");
    }
}

void worker_answer(struct workers *workers, struct http_request *request,
                   void (*work)(void *data, struct worker_result *result), const void *data,
                   size_t size)
{
    struct job *job = calloc(1, sizeof *job);
    if (job)
        job->data = malloc(size);
    if (!job || !job->data) {
        free(job);
        http_answer(request, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL);
        return;
    }
    memcpy(job->data, data, size);
    job->workers = workers;
    job->request = request;
    job->work = work;
    TAILQ_INSERT_TAIL(&workers->jobs, job, entry);
    http_hold(request, on_gone, job);
    start_jobs(workers);
}

struct workers *workers_new(struct ev_loop *loop, void (*told)(void *data, const char *why),
                            void *data)
{
    struct workers *workers = calloc(1, sizeof *workers);
    if (!workers)
        return NULL;
    workers->loop = loop;
    workers->told = told;
    workers->data = data;
    TAILQ_INIT(&workers->jobs);
    return workers;
}

void workers_free(struct workers *workers)
{
    struct job *job;
    while (workers && (job = TAILQ_FIRST(&workers->jobs))) {
        job->request->over = NULL;
        free_job(job);
    }
    free(workers);
}
