// SPDX-License-Identifier: MIT
#include "try.h"
#include "sender.h"

#include "config/load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1, USAGE = 2 };

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

static const struct notify_config *find_section(const struct config *config, const char *path,
                                                const char *name)
{
    for (unsigned i = 0; i < config->notify_count; i++)
        if (strcmp(config->notifies[i].outlet.name, name) == 0)
            return &config->notifies[i];
    fprintf(stderr, "packgate: %s has no [notify %s]%s", path, name,
            config->notify_count ? "; there is" : "\n");
    for (unsigned i = 0; i < config->notify_count; i++)
        fprintf(stderr, "%s %s%s", i ? "," : "", config->notifies[i].outlet.name,
                i + 1 == config->notify_count ? "\n" : "");
    return NULL;
}

int notify_try(int argc, char **argv)
{
    char gateway[TITLE_SIZE] = "packgate", who[80];
    if (argc != 3)
        return USAGE;
    struct config *config = config_load(argv[1], stderr);
    if (!config)
        return FAILED;
    const struct notify_config *section = find_section(config, argv[1], argv[2]);
    struct trial trial = {.loop = ev_default_loop(0), .name = argv[2], .status = FAILED};
    if (config->gateway.title[0])
        snprintf(gateway, sizeof gateway, "%s", config->gateway.title);
    else if (gethostname(gateway, sizeof gateway - 1) != 0)
        gateway[sizeof gateway - 1] = '\0';
    snprintf(who, sizeof who, "notify %s", argv[2]);
    const struct sender_settings settings = {.config = section,
                                             .who = who,
                                             .gateway = gateway,
                                             .page = "",
                                             .done = on_done,
                                             .data = &trial};
    struct sender *sender = section ? sender_new(trial.loop, &settings) : NULL;
    if (sender) {
        struct message message = {
            .event = NOTIFY_STARTED, .alarm = -1, .time = (double) time(NULL)};
        snprintf(message.title, sizeof message.title, "packgate on %s: a test", gateway);
        snprintf(message.text, sizeof message.text,
                 "This is a test of [notify %s] on %s. Messages arrive.", argv[2], gateway);
        sender_send(sender, &message);
        ev_run(trial.loop, 0);
        sender_free(sender);
    }
    config_free(config);
    return trial.status;
}
