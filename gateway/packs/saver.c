// SPDX-License-Identifier: MIT
/* Writes the state file once a minute. */
#include "saver.h"

#include <signal.h>
#include <sys/wait.h>

#define SAVE_S 60.0 /* s; a host that loses its power loses at most this much of the counters */

static void on_written(struct ev_loop *loop, ev_child *child, int revents)
{
    struct saver *saver = child->data;
    ev_child_stop(loop, child);
    kept_save_finish(saver->kept, saver->path, child->rstatus);
}

static void on_minute(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct saver *saver = timer->data;
    if (ev_is_active(&saver->child))
        return;
    pid_t pid = kept_save_start(saver->kept, saver->path);
    if (pid <= 0)
        return;
    ev_child_set(&saver->child, pid, 0);
    ev_child_start(loop, &saver->child);
}

void saver_start(struct saver *saver, struct ev_loop *loop, struct kept *kept, const char *path)
{
    *saver = (struct saver){.loop = loop, .kept = kept, .path = path};
    ev_timer_init(&saver->timer, on_minute, SAVE_S, SAVE_S);
    ev_init(&saver->child, on_written);
    saver->timer.data = saver->child.data = saver;
    ev_timer_start(loop, &saver->timer);
}

void saver_stop(struct saver *saver)
{
    if (!saver->loop)
        return;
    ev_timer_stop(saver->loop, &saver->timer);
    if (ev_is_active(&saver->child)) {
        /* Both would write the same temporary file. */
        kill(saver->child.pid, SIGKILL);
        waitpid(saver->child.pid, NULL, 0);
        ev_child_stop(saver->loop, &saver->child);
        kept_save_cancel(saver->kept);
    }
    kept_save(saver->kept, saver->path);
}
