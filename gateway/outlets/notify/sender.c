// SPDX-License-Identifier: MIT
#include "sender.h"
#include "request.h"

#include "outlets/pipe.h"
#include "outlets/transfer.h"
#include "base/alloc.h"
#include "base/child.h"
#include "base/timer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND_S 20.0
#define PROGRAM_S 30.0
#define NOT_STARTED 127

struct sender {
    struct ev_loop *loop;
    struct sender_settings settings;
    struct transfers *transfers;
    struct transfer transfer;
    struct request request;
    struct secrets secrets;
    ev_child child;    /* the program */
    ev_timer deadline; /* likewise */
    ev_timer over;     /* of a transfer, or of a try that could not even begin */
    char why[300];
    enum outcome outcome;
    bool open_told, killed;
};

static void on_over(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct sender *sender = timer->data;
    transfer_free(&sender->transfer);
    request_clear(&sender->request);
    sender->settings.done(sender->settings.data, sender->outcome, sender->why);
}

static void report_later(struct sender *sender, enum outcome outcome)
{
    sender->outcome = outcome;
    timer_restart(sender->loop, &sender->over, 0);
}

static void on_transferred(void *data, CURLcode code, const char *words)
{
    struct sender *sender = data;
    sender->why[0] = '\0';
    /* libcurl uses the handle until this returns. */
    report_later(sender,
                 request_judge(&sender->request, &sender->transfer, sender->settings.config,
                               &sender->secrets, code, words, sender->why, sizeof sender->why));
}

/* False: `why` has the error. */
static bool start_transfer(struct sender *sender, const struct message *message)
{
    const struct notify_config *config = sender->settings.config;
    struct transfer *transfer = &sender->transfer;
    const struct transfer_tls tls = {
        .ca_file = config->ca_file, .client_cert = "", .client_key = "", .verify = config->verify};
    if (!secrets_read(&sender->secrets, config, sender->settings.who, &sender->open_told,
                      sender->why, sizeof sender->why))
        return false;
    *transfer = (struct transfer){.done = on_transferred, .data = sender};
    transfer_init(transfer, sender->transfers,
                  config->type == NOTIFY_MAIL ? "smtp,smtps" : "http,https", SEND_S, &tls);
    if (!request_set(&sender->request, transfer, config, &sender->secrets, message,
                     sender->settings.gateway, sender->settings.page)) {
        snprintf(sender->why, sizeof sender->why, "it is too long, or its text is not UTF-8");
        return false;
    }
    /* The next message is hours away: a connection that waits for it, and the certificates that it was checked against,
     * are a fifth of this process's memory. */
    transfer_set_url(transfer, sender->secrets.url);
    curl_easy_setopt(transfer->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(transfer->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
    transfer_start(transfer);
    return true;
}

static void on_child(struct ev_loop *loop, ev_child *child, int revents)
{
    struct sender *sender = child->data;
    const int status = child->rstatus;
    char *const why = sender->why;
    const size_t size = sizeof sender->why;
    why[0] = '\0';
    ev_child_stop(loop, child);
    ev_timer_stop(loop, &sender->deadline);
    if (sender->killed)
        snprintf(why, size, "it took longer than %.0f s and was killed", PROGRAM_S);
    else if (WIFSIGNALED(status))
        snprintf(why, size, "it was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status) == NOT_STARTED)
        snprintf(why, size, "it ended with %d: it or a program that it calls cannot be started",
                 NOT_STARTED);
    else if (WEXITSTATUS(status) != 0)
        snprintf(why, size, "it ended with %d", WEXITSTATUS(status));
    sender->settings.done(sender->settings.data, why[0] ? OUTCOME_AGAIN : OUTCOME_SENT, why);
}

static void kill_program(const struct sender *sender)
{
    kill(-sender->child.pid, SIGKILL);
    kill(sender->child.pid, SIGKILL);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct sender *sender = timer->data;
    sender->killed = true;
    kill_program(sender);
}

/* False: `why` has the error. */
static bool start_program(struct sender *sender, const struct message *message)
{
    const char *path = sender->settings.config->command;
    char *json = message_json(message, sender->settings.gateway);
    snprintf(sender->why, sizeof sender->why, "its text is not UTF-8");
    if (!json)
        return false;
    /* A file, because unlike a pipe it cannot block the writer. */
    int file = access(path, X_OK) == 0 ? pipe_text_file(json, strlen(json)) : -1;
    const pid_t pid = file >= 0 ? fork() : -1;
    if (pid == 0) {
        signal(SIGPIPE, SIG_DFL);
        child_reset_signals();
        setpgid(0, 0);
        setenv("PACKGATE_EVENT", notify_event_name(message->event), 1);
        setenv("PACKGATE_PACK", message->pack, 1);
        setenv("PACKGATE_LEVEL", message_level(message), 1);
        setenv("PACKGATE_TEXT", message->text, 1);
        dup2(file, STDIN_FILENO);
        dup2(STDERR_FILENO, STDOUT_FILENO); /* both to the log */
        child_settle(-1);
        execl(path, path, NULL);
        _exit(NOT_STARTED);
    }
    if (pid < 0)
        snprintf(sender->why, sizeof sender->why, "%s: %s", path, strerror(errno));
    if (file >= 0)
        close(file);
    free(json);
    if (pid < 0)
        return false;
    setpgid(pid, pid);
    sender->killed = false;
    ev_child_set(&sender->child, pid, 0);
    ev_child_start(sender->loop, &sender->child);
    timer_restart(sender->loop, &sender->deadline, PROGRAM_S);
    return true;
}

void sender_send(struct sender *sender, const struct message *message)
{
    if (sender->settings.config->type == NOTIFY_COMMAND ? !start_program(sender, message)
                                                        : !start_transfer(sender, message))
        report_later(sender, OUTCOME_AGAIN);
}

struct sender *sender_new(struct ev_loop *loop, const struct sender_settings *settings)
{
    struct sender *sender = alloc_zeroed(1, sizeof *sender);
    sender->loop = loop;
    sender->settings = *settings;
    ev_init(&sender->over, on_over);
    ev_init(&sender->child, on_child);
    ev_init(&sender->deadline, on_deadline);
    sender->over.data = sender->child.data = sender->deadline.data = sender;
    sender->transfers = settings->config->type == NOTIFY_COMMAND ? NULL : transfers_new(loop);
    return sender;
}

void sender_end(const struct sender *sender)
{
    if (ev_is_active(&sender->child))
        kill_program(sender);
}
