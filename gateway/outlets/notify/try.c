// SPDX-License-Identifier: MIT
#include "try.h"
#include "sender.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1 };

struct trial {
    struct ev_loop *loop;
    const char *name;
    int status;
};

static void on_done(void *data, enum outcome outcome, const char *why)
{
    struct trial *trial = data;
    trial->status = outcome == OUTCOME_SENT && !why[0] ? DONE : FAILED;
    if (trial->status == DONE)
        printf("notify %s: the message was sent\n", trial->name);
    else if (outcome == OUTCOME_SENT)
        fprintf(stderr,
                "packgate: notify %s: the message was sent, but not to all recipients: %s\n",
                trial->name, why);
    else
        fprintf(stderr, "packgate: notify %s: %s\n", trial->name, why);
    ev_break(trial->loop, EVBREAK_ALL);
}

int notify_test(const struct pipe_config *config)
{
    const char *name = config->section;
    char gateway[TITLE_SIZE] = "packgate", who[80];
    struct trial trial = {.loop = ev_default_loop(0), .name = name, .status = FAILED};
    if (config->gateway[0])
        snprintf(gateway, sizeof gateway, "%s", config->gateway);
    else if (gethostname(gateway, sizeof gateway - 1) != 0)
        gateway[sizeof gateway - 1] = '\0';
    snprintf(who, sizeof who, "notify %s", name);
    const struct sender_settings settings = {.config = config->settings,
                                             .who = who,
                                             .gateway = gateway,
                                             .page = "",
                                             .done = on_done,
                                             .data = &trial};
    struct sender *sender = sender_new(trial.loop, &settings);
    if (sender) {
        struct message message = {
            .event = NOTIFY_STARTED, .alarm = -1, .time = (double) time(NULL)};
        snprintf(message.title, sizeof message.title, "packgate on %s: a test", gateway);
        snprintf(message.text, sizeof message.text,
                 "This is a test of [notify %s] on %s. Messages arrive.", name, gateway);
        sender_send(sender, &message);
        ev_run(trial.loop, 0);
        sender_free(sender);
    }
    return trial.status;
}
