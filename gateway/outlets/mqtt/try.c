// SPDX-License-Identifier: MIT
#include "mqtt.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S 0.1
#define MESSAGE_S 8.0 /* for a message to come back */

struct trial {
    struct ev_loop *loop;
    struct connection *connection;
    enum connection_stage stage; /* as reported */
    bool tls;
    char topic[TOPIC_SIZE];
    ev_timer look, patience;
    int status;
};

/* By enum connection_stage: the step that is next. */
static const char *const steps[] = {"connect", "tls", "login", "subscribe"};

static void print_stages(struct trial *trial, enum connection_stage to)
{
    for (; trial->stage < to; trial->stage++)
        if (trial->stage != CONNECTION_REACHED || trial->tls)
            printf("%s ok\n", steps[trial->stage]);
    fflush(stdout);
}

static void fail_trial(struct trial *trial, const char *words)
{
    const bool skips = trial->stage == CONNECTION_REACHED && !trial->tls;
    printf("%s failed %s\n", steps[trial->stage + skips], words);
    fflush(stdout);
    ev_break(trial->loop, EVBREAK_ALL);
}

static void on_up(void *data)
{
    struct trial *trial = data;
    print_stages(trial, CONNECTION_UP);
    connection_subscribe(trial->connection, trial->topic, "the trial");
    connection_knock(trial->connection);
    ev_timer_start(trial->loop, &trial->patience);
}

static void on_down(void *data)
{
    fail_trial(data, "the connection was lost");
}

/* The subscription has been answered before. */
static void on_answered(void *data)
{
    struct trial *trial = data;
    connection_publish(trial->connection, trial->topic, "1", 1, 1, false, NULL);
}

static void on_message(void *data, const char *topic, const void *payload, size_t size,
                       bool retained, double since)
{
    struct trial *trial = data;
    if (retained || strcmp(topic, trial->topic) != 0)
        return;
    puts("subscribe ok");
    trial->status = 0;
    ev_break(trial->loop, EVBREAK_ALL);
}

/* The first failure is the answer: it is not tried again. */
static void on_look(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct trial *trial = timer->data;
    const struct connection_counters counters = connection_counters(trial->connection);
    if (trial->stage < CONNECTION_UP)
        print_stages(trial, counters.stage);
    if (counters.failed > 0)
        fail_trial(trial, counters.words);
}

static void on_patience(struct ev_loop *loop, ev_timer *timer, int revents)
{
    char words[TOPIC_SIZE + 100];
    struct trial *trial = timer->data;
    snprintf(words, sizeof words,
             "a message on %s did not come back: check what this user may write and read",
             trial->topic);
    fail_trial(trial, words);
}

int mqtt_test(const struct pipe_config *config)
{
    const struct mqtt_config *section = config->settings;
    struct trial trial = {.loop = ev_default_loop(0), .status = 1};
    char host[HOST_NAME_SIZE], base[TOPIC_SIZE], id[32];
    topic_expand(section->topic, host_own_name(host), base, sizeof base);
    topic_of(base, NULL, "try", trial.topic);
    snprintf(id, sizeof id, "packgate-try-%d", (int) getpid());
    trial.tls = strncmp(section->broker, "mqtts", 5) == 0;
    const struct connection_settings settings = {.config = section,
                                                 .name = "try",
                                                 .client_id = id,
                                                 .will_topic = trial.topic,
                                                 .will_payload = "",
                                                 .data = &trial,
                                                 .up = on_up,
                                                 .down = on_down,
                                                 .message = on_message,
                                                 .answered = on_answered};
    trial.connection = connection_new(trial.loop, &settings);
    if (!trial.connection)
        return trial.status;
    ev_timer_init(&trial.look, on_look, LOOK_S, LOOK_S);
    ev_timer_init(&trial.patience, on_patience, MESSAGE_S, 0);
    trial.look.data = trial.patience.data = &trial;
    ev_timer_start(trial.loop, &trial.look);
    ev_run(trial.loop, 0);
    connection_free(trial.connection);
    return trial.status;
}
