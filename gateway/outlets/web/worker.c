// SPDX-License-Identifier: MIT
#include "worker.h"

#include "base/child.h"
#include "base/queue.h"
#include "base/regular.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    struct workers *workers;
    worker_work *work;
    void *data;
    size_t data_size;
    worker_done *done;
    void *owner;
    struct child child;
    bool runs; /* else it waits */
    TAILQ_ENTRY(job) entry;
};

struct workers {
    struct ev_loop *loop;
    unsigned most;
    double longest_s;
    unsigned running;
    TAILQ_HEAD(, job) jobs;
};

/* Closes the page's sockets, so that cutting a client in the parent closes its connection. */
static void work_in_child(struct job *job, int fd)
{
    struct worker_result result = {.status = MHD_HTTP_INTERNAL_SERVER_ERROR};
    child_reset_signals();
    signal(SIGCONT, SIG_DFL);
    fd = child_settle(fd);
    job->work(job->data, &result);
    result.size = result.text ? strlen(result.text) : 0;
    _exit(!write_fully(fd, &result, sizeof result) || !write_fully(fd, job->data, job->data_size) ||
          !write_fully(fd, result.text, result.size));
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
        if (job->runs || ev_is_active(&job->child.deadline))
            continue;
        int output;
        const pid_t pid = child_start(&job->child, workers->longest_s, &output);
        if (pid == 0)
            work_in_child(job, output);
        job->runs = pid > 0;
        workers->running += job->runs;
        if (!job->runs)
            child_expect(&job->child, 0);
    }
}

/* libev reaps the child: waiting for it would block on a disk that hangs. */
static void free_job(struct job *job)
{
    struct workers *workers = job->workers;
    child_stop(&job->child);
    workers->running -= job->runs;
    TAILQ_REMOVE(&workers->jobs, job, entry);
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

/* The child has written its result, whose text is elsewhere here, the data, and the text. All is dropped if it was not
 * received whole. */
static void on_over(struct child *child, enum child_end end)
{
    struct job *job = child->data;
    struct workers *workers = job->workers;
    struct worker_result result = {.text = NULL}, sent = result;
    const size_t start = sizeof sent + job->data_size;
    if (child->size >= sizeof sent)
        memcpy(&sent, child->bytes, sizeof sent);
    if (child->size >= start && child->size == start + sent.size) {
        memcpy(job->data, child->bytes + sizeof sent, job->data_size);
        result = sent;
        result.text = sent.text ? strndup(child->bytes + start, sent.size) : NULL;
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

struct job *worker_start(struct workers *workers, worker_work *work, const void *data, size_t size,
                         worker_done *done, void *owner)
{
    struct job *job = alloc_zeroed(1, sizeof *job);
    *job = (struct job){.workers = workers,
                        .work = work,
                        .data = alloc_zeroed(1, size),
                        .data_size = size,
                        .done = done,
                        .owner = owner};
    memcpy(job->data, data, size);
    child_init(&job->child, workers->loop, on_over, job);
    TAILQ_INSERT_TAIL(&workers->jobs, job, entry);
    start_jobs(workers);
    return job;
}

struct workers *workers_new(struct ev_loop *loop, unsigned most, double longest_s)
{
    struct workers *workers = alloc_zeroed(1, sizeof *workers);
    *workers = (struct workers){.loop = loop, .most = most, .longest_s = longest_s};
    TAILQ_INIT(&workers->jobs);
    return workers;
}
