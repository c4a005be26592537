// SPDX-License-Identifier: MIT
#include "sender.h"
#include "request.h"

#include "outlets/transfer.h"
#include "base/timer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEND_S 20.0

struct sender {
    struct ev_loop *loop;
    struct sender_settings settings;
    struct transfers *transfers;
    struct transfer transfer;
    struct program program;
    struct request request;
    struct secrets secrets;
    ev_timer failed; /* it could not even begin */
    char why[300];
    enum outcome outcome;
    bool busy, open_told;
};

bool sender_is_busy(const struct sender *sender)
{
    return sender->busy;
}

static void report_outcome(struct sender *sender, enum outcome outcome, const char *why)
{
    sender->busy = false;
    sender->settings.done(sender->settings.data, outcome, why);
}

static void on_failed(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct sender *sender = timer->data;
    transfer_free(&sender->transfer);
    request_clear(&sender->request);
    report_outcome(sender, sender->outcome, sender->why);
}

static void schedule_failure(struct sender *sender, enum outcome outcome)
{
    sender->outcome = outcome;
    timer_restart(sender->loop, &sender->failed, 0);
}

static void on_transferred(void *data, CURLcode code, const char *words)
{
    struct sender *sender = data;
    sender->why[0] = '\0';
    /* libcurl uses the handle until this returns. */
    schedule_failure(sender,
                     request_judge(&sender->request, &sender->transfer, sender->settings.config,
                                   &sender->secrets, code, words, sender->why, sizeof sender->why));
}

static void on_program_over(void *data, bool good, const char *why)
{
    report_outcome(data, good ? OUTCOME_SENT : OUTCOME_AGAIN, why);
}

static void transfer_message(struct sender *sender, const struct message *message)
{
    const struct notify_config *config = sender->settings.config;
    const struct transfer_tls tls = {
        .ca_file = config->ca_file, .client_cert = "", .client_key = "", .verify = config->verify};
    if (!secrets_read(&sender->secrets, config, sender->settings.who, &sender->open_told,
                      sender->why, sizeof sender->why)) {
        schedule_failure(sender, OUTCOME_AGAIN);
        return;
    }
    sender->transfer = (struct transfer){.done = on_transferred, .data = sender};
    if (!transfer_init(&sender->transfer, sender->transfers,
                       config->type == NOTIFY_MAIL ? "smtp,smtps" : "http,https", SEND_S, &tls) ||
        !request_set(&sender->request, &sender->transfer, config, &sender->secrets, message,
                     sender->settings.gateway, sender->settings.page)) {
        snprintf(sender->why, sizeof sender->why, "out of memory, or too long");
        schedule_failure(sender, OUTCOME_AGAIN);
        return;
    }
    /* The next message is hours away: a connection that waits for it, and the certificates that it was checked against,
     * are a fifth of this process's memory. */
    transfer_set_url(&sender->transfer, sender->secrets.url);
    curl_easy_setopt(sender->transfer.easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(sender->transfer.easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    transfer_start(&sender->transfer);
}

void sender_send(struct sender *sender, const struct message *message)
{
    sender->busy = true;
    if (sender->settings.config->type != NOTIFY_COMMAND) {
        transfer_message(sender, message);
        return;
    }
    char *json = message_json(message, sender->settings.gateway);
    if (!json || !program_start(&sender->program, sender->settings.config->command, message, json,
                                sender->why, sizeof sender->why)) {
        if (!json)
            snprintf(sender->why, sizeof sender->why, "out of memory");
        schedule_failure(sender, OUTCOME_AGAIN);
    }
    free(json);
}

struct sender *sender_new(struct ev_loop *loop, const struct sender_settings *settings)
{
    struct sender *sender = calloc(1, sizeof *sender);
    if (!sender)
        return NULL;
    sender->loop = loop;
    sender->settings = *settings;
    ev_init(&sender->failed, on_failed);
    sender->failed.data = sender;
    program_init(&sender->program, loop, on_program_over, sender);
    const bool runs = settings->config->type == NOTIFY_COMMAND;
    sender->transfers = runs ? NULL : transfers_new(loop);
    if (runs || sender->transfers)
        return sender;
    free(sender);
    return NULL;
}

void sender_free(struct sender *sender)
{
    if (!sender)
        return;
    ev_timer_stop(sender->loop, &sender->failed);
    transfer_free(&sender->transfer);
    request_clear(&sender->request);
    transfers_free(sender->transfers);
    program_stop(&sender->program);
    free(sender);
}
