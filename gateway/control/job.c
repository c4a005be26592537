// SPDX-License-Identifier: MIT
/* Runs processes for set-up in the browser. */
#include "job.h"

#include "outlets/pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LINE_MOST (1024 * 1024) /* bytes of one line, as large as a configuration may be */

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

/* `said` may stop the job, which discards the rest. */
static void on_received(struct child *child)
{
    struct job *job = child->data;
    for (char *end; child->size > 0 && (end = memchr(child->bytes, '\n', child->size));) {
        free(job->line);
        job->line = strndup(child->bytes, (size_t) (end - child->bytes));
        child->size -= (size_t) (end + 1 - child->bytes);
        memmove(child->bytes, end + 1, child->size);
        if (job->said && job->line)
            job->said(job);
    }
    if (child->size > LINE_MOST)
        child_finish(child, CHILD_TOO_LONG);
}

static void on_over(struct child *child, enum child_end end)
{
    struct job *job = child->data;
    if (job->over)
        job->over(job, end);
}

void job_init(struct job *job, struct ev_loop *loop,
              void (*over)(struct job *job, enum child_end end), void *data)
{
    *job = (struct job){.over = over, .data = data};
    child_init(&job->child, loop, on_over, job);
    job->child.received = on_received;
}

void job_stop(struct job *job)
{
    child_stop(&job->child);
    free(job->line);
    job->line = NULL;
}

bool job_runs(const struct job *job)
{
    return job->child.fd >= 0;
}

bool job_start(struct job *job, const char *const *words, const char *request, double most_s)
{
    int output;
    job_stop(job);
    const int input = pipe_text_file(request, strlen(request));
    if (input < 0)
        return false;
    const pid_t pid = child_start(&job->child, most_s, &output);
    if (pid == 0)
        job_run(words, input, output);
    close(input);
    return pid > 0;
}
