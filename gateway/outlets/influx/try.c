// SPDX-License-Identifier: MIT
#include "try.h"

#include "post.h"

#include <stdio.h>
#include <string.h>

struct trial {
    struct ev_loop *loop;
    int status;
};

static void on_done(void *data, const struct post_outcome *outcome)
{
    struct trial *trial = data;
    trial->status = outcome->result != POST_TAKEN;
    printf("write %s %s\n", trial->status ? "failed" : "ok", outcome->words);
    ev_break(trial->loop, EVBREAK_ALL);
}

int influx_test(const struct pipe_config *config)
{
    static const char line[] = "# a trial of packgate\n";
    struct trial trial = {.loop = ev_default_loop(0), .status = 1};
    struct post_outcome outcome;
    struct transfers *transfers = transfers_new(trial.loop);
    struct post *post =
        transfers ? post_new(transfers, config->settings, "try", on_done, &trial) : NULL;
    if (post && post_send(post, line, sizeof line - 1, &outcome))
        ev_run(trial.loop, 0);
    else
        printf("write failed %s\n", post ? outcome.words : "out of memory");
    post_free(post);
    transfers_free(transfers);
    return trial.status;
}
