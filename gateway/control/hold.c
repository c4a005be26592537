// SPDX-License-Identifier: MIT
/* The connection to the process that saves the configuration. */
#include "hold.h"

#include "job.h"

#include "packs/json.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_S 12.0 /* s to wait for it: less than the outlet waits (OUTLET_ANSWER_S) */
/* Seconds for the answer to reach the browser: a reload may restart the page's outlet. */
#define RELOAD_LATER_S 0.2

enum hold_state { HOLD_NONE, HOLD_APPLYING, HOLD_PENDING, HOLD_ENDING };

struct hold {
    struct ev_loop *loop;
    const struct overview *overview;
    enum hold_state state;
    struct job process; /* that saves */
    ev_timer reload;
    uint64_t ticket; /* of the unanswered request; 0: none */
    char hash[40];
    double until;
    bool keeps;       /* ENDING: keep was requested */
    bool again;       /* ENDING: through a second process, because the first was lost */
    char undone[200]; /* why the last one was undone; "": it was not */
};

json_t *setup_refusal(int http, const char *format, ...)
{
    char text[400];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return json_pack("{s:o, s:i}", "error", json_printable(text, strlen(text)), "http", http);
}

/* Answers the request, if it was not answered yet. */
static void answer_request(struct hold *hold, const char *text)
{
    if (hold->ticket)
        outlets_answer(hold->overview->outlets, hold->ticket, text);
    hold->ticket = 0;
}

static void refuse_request(struct hold *hold, int http, const char *why)
{
    char *text = json_text(setup_refusal(http, "%s", why));
    answer_request(hold, text);
    free(text);
}

static void disconnect(struct hold *hold)
{
    job_stop(&hold->process);
    hold->state = HOLD_NONE;
    hold->keeps = hold->again = false;
}

const char *hold_way(const struct hold *hold)
{
    const char *helper = hold->overview->host->helper;
    if (helper && access(helper, W_OK) == 0)
        return "helper";
    /* Where the file is a link, the folder is that of the file which it leads to. */
    const char *given = hold->overview->file->path;
    char *real = realpath(given, NULL), *path = real ? real : strdup(given);
    const bool may_write = path && access(dirname(path), W_OK | X_OK) == 0;
    free(path);
    return may_write ? "folder" : "download";
}

static int connect_helper(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path));
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The child outlives the gateway: it then restores the previous file. */
static int start_child(const struct hold *hold)
{
    int pair[2];
    const char *first = hold->overview->host->first;
    const char *words[JOB_WORDS] = {"setup-save", "-c", hold->overview->file->path,
                                    first ? "--first" : NULL, first};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    const pid_t pid = fork();
    if (pid == 0) {
        setsid();
        job_run(words, pair[1], pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return -1;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    return pair[0];
}

static void handle_applied(struct hold *hold, const char *text)
{
    json_t *said = json_loads(text, 0, NULL);
    const char *hash = json_string_value(json_object_get(said, "hash"));
    if (hash && !json_object_get(said, "error")) {
        hold->state = HOLD_PENDING;
        hold->until = clock_now() + HOLD_KEEP_S;
        snprintf(hold->hash, sizeof hold->hash, "%s", hash);
        job_expect(&hold->process, HOLD_KEEP_S + ANSWER_S);
        answer_request(hold, text);
        log_info("set-up: saved a new configuration; it is undone unless it is kept within %.0f s",
                 HOLD_KEEP_S);
        timer_restart(hold->loop, &hold->reload, RELOAD_LATER_S);
    } else {
        answer_request(hold, text);
        disconnect(hold);
    }
    json_decref(said);
}

/* The previous file is back, or the new one is kept, or both failed. Only the hash of the saved text proves that it is
 * kept, because a second process reports whatever file the lost one has left. */
static void handle_ended(struct hold *hold, const char *text)
{
    json_t *said = json_loads(text, 0, NULL);
    const char *undone = json_string_value(json_object_get(said, "undone"));
    const char *error = json_string_value(json_object_get(said, "error"));
    const char *hash = json_string_value(json_object_get(said, "hash"));
    const bool kept = !undone && !error && hash && strcmp(hash, hold->hash) == 0;
    if (kept) {
        hold->undone[0] = '\0';
        log_info("set-up: the new configuration is kept");
    } else if (undone || (hash && !error)) {
        if (!hold->undone[0])
            snprintf(hold->undone, sizeof hold->undone, "%s",
                     undone ? undone : "the new one was not found");
        log_warn("set-up: the previous configuration is back: %s", hold->undone);
        timer_restart(hold->loop, &hold->reload, RELOAD_LATER_S);
    } else {
        snprintf(hold->undone, sizeof hold->undone, "the previous one could not be restored: %s",
                 error ? error : "unknown reason");
        log_error("set-up: a configuration that was not kept is in force: %s; the next start "
                  "restores the previous one",
                  hold->undone);
    }
    if (hold->keeps && !kept && !error)
        refuse_request(hold, 409, hold->undone);
    else
        answer_request(hold, text);
    disconnect(hold);
    json_decref(said);
}

static bool send_line(const struct hold *hold, const char *text)
{
    const size_t size = strlen(text);
    const int fd = hold->process.fd;
    return send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) size &&
           send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Connects to a process that saves, and sends it a request. */
static bool start_saving(struct hold *hold, enum hold_state state, const char *text)
{
    const char *way = hold_way(hold);
    const int fd = strcmp(way, "helper") == 0   ? connect_helper(hold->overview->host->helper)
                   : strcmp(way, "folder") == 0 ? start_child(hold)
                                                : -1;
    if (fd < 0)
        return false;
    hold->state = state;
    job_adopt(&hold->process, fd, ANSWER_S);
    if (send_line(hold, text))
        return true;
    disconnect(hold);
    return false;
}

static void on_said(struct job *process)
{
    struct hold *hold = process->data;
    (hold->state == HOLD_APPLYING ? handle_applied : handle_ended)(hold, process->line);
}

/* The process is lost: another one undoes what it may have saved. If that is lost as well, the next start does it. */
static void on_over(struct job *process, enum job_end end)
{
    static const char *const words[] = {
        [JOB_ENDED] = "the program that saves the configuration has ended",
        [JOB_SILENT] = "the program that saves the configuration does not answer",
        [JOB_TOO_LONG] = "the reply of the program that saves the configuration is too long"};
    struct hold *hold = process->data;
    const bool again = hold->again;
    log_error("set-up: %s", words[end]);
    refuse_request(hold, 503, words[end]);
    disconnect(hold);
    snprintf(hold->undone, sizeof hold->undone, "%s", words[end]);
    if (again || !start_saving(hold, HOLD_ENDING, "undo"))
        log_error("set-up: a configuration that was not kept may be saved; the next start restores "
                  "the previous one");
    else
        hold->again = true;
}

static void send_end(struct hold *hold, bool keep)
{
    hold->state = HOLD_ENDING;
    hold->keeps = keep;
    if (send_line(hold, keep ? "keep" : "undo"))
        job_expect(&hold->process, ANSWER_S);
    else
        on_over(&hold->process, JOB_ENDED);
}

/* If the gateway rejects the new configuration, the old one stays in force. */
static void on_reload(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct hold *hold = timer->data;
    const struct overview_host *host = hold->overview->host;
    if (host->reload && !host->reload(host->data) && hold->state == HOLD_PENDING) {
        snprintf(hold->undone, sizeof hold->undone,
                 "the gateway could not switch to it; the log says why");
        send_end(hold, false);
    }
}

json_t *hold_apply(struct hold *hold, const char *request, uint64_t ticket)
{
    if (hold->state != HOLD_NONE)
        return setup_refusal(409, "another configuration is not kept yet");
    hold->undone[0] = hold->hash[0] = '\0';
    if (!start_saving(hold, HOLD_APPLYING, request))
        return setup_refusal(
            strcmp(hold_way(hold), "download") == 0 ? 501 : 503,
            "nothing on this host can write the configuration: download it and save it yourself");
    hold->ticket = ticket;
    return NULL;
}

json_t *hold_end(struct hold *hold, bool keep, uint64_t ticket)
{
    if (hold->state != HOLD_PENDING)
        return setup_refusal(409, "there is no configuration to keep or to undo");
    if (keep && ev_is_active(&hold->reload))
        return setup_refusal(409, "the gateway has not switched to it yet");
    hold->ticket = ticket;
    if (!keep)
        snprintf(hold->undone, sizeof hold->undone, "it was undone in the browser");
    send_end(hold, keep);
    return NULL;
}

void hold_add_state(const struct hold *hold, json_t *state, double now)
{
    json_object_set_new(state, "pending",
                        hold->state == HOLD_PENDING
                            ? json_pack("{s:o, s:s}", "keep_within_s",
                                        json_number(fmax(hold->until - now, 0), 0), "hash",
                                        hold->hash)
                            : json_null());
    json_object_set_new(state, "undone", hold->undone[0] ? json_string(hold->undone) : json_null());
}

struct hold *hold_new(struct ev_loop *loop, const struct overview *overview)
{
    struct hold *hold = calloc(1, sizeof *hold);
    if (!hold)
        return NULL;
    hold->loop = loop;
    hold->overview = overview;
    job_init(&hold->process, loop, on_over, hold);
    hold->process.said = on_said;
    ev_init(&hold->reload, on_reload);
    hold->reload.data = hold;
    return hold;
}

void hold_free(struct hold *hold)
{
    if (!hold)
        return;
    disconnect(hold);
    ev_timer_stop(hold->loop, &hold->reload);
    free(hold);
}
