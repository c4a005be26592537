// SPDX-License-Identifier: MIT
/* The gateway's part of set-up in the browser. */
#include "editing.h"

#include "job.h"

#include "config/edits.h"
#include "config/keys.h"
#include "packs/json.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/timer.h"

#include "bms/count.h"

#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CODE_SIZE 9   /* eight letters and digits, 40 bits, and the NUL */
#define TOKEN_SIZE 65 /* 256 bits in hex digits, and the NUL */
#define QUICK_MAX 4   /* short jobs at the same time */
/* Seconds for a short job, and for saving: less than the outlet waits for an answer (OUTLET_ANSWER_S). */
#define QUICK_S 12.0
#define LONG_S 900.0 /* s for a search or a test of an outlet */
/* Seconds for the answer to reach the browser: a reload may restart the page's outlet. */
#define RELOAD_LATER_S 0.2

/* Of the new configuration: it is being saved, waits to be kept, is being kept or undone, or undone by a second process because the
 * first was lost. */
enum saving { IDLE, APPLYING, PENDING, KEEPING, UNDOING, RECOVERING };

struct editing {
    struct ev_loop *loop;
    const struct overview *overview;
    char code[CODE_SIZE];   /* "": none, or used */
    char token[TOKEN_SIZE]; /* "": no session */
    double until;           /* of the code, or of the session */
    struct job quick[QUICK_MAX];
    struct job search, trial;
    bool awaits_request; /* the trial waits for a request of a Modbus client */
    uint32_t requests;   /* of all Modbus clients when it began */
    /* The process that saves the configuration. Its ticket is that of the unanswered request, or 0. */
    struct job saver;
    enum saving state;
    ev_timer reload;
    char hash[40]; /* of the text that was saved */
    double keep_until;
    char undone[200]; /* why the last one was undone; "": it was not */
};

/* How a browser was authenticated. */
enum entrance { BY_NOTHING, BY_CODE, BY_PASSWORD, BY_INGRESS };

static const char *const entrances[] = {
    [BY_CODE] = "code", [BY_PASSWORD] = "password", [BY_INGRESS] = "ingress"};

/* A request of a browser. */
struct query {
    const char *verb, *by, *token, *body;
    enum entrance entrance;
    uint64_t ticket;
};

json_t *setup_refusal(int http, const char *format, ...)
{
    char text[400];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    return json_pack("{s:o, s:i}", "error", json_printable(text), "http", http);
}

static const struct web_config *web_of(const struct editing *editing)
{
    return packs_config(editing->overview->packs)->web;
}

static enum entrance entrance_of(struct editing *editing, const struct query *query, double now)
{
    const struct web_config *web = web_of(editing);
    if (now >= editing->until)
        editing->code[0] = editing->token[0] = '\0';
    if (strcmp(query->by, "code") == 0)
        return secret_equals(editing->token, query->token) ? BY_CODE : BY_NOTHING;
    if (strcmp(query->by, "password") == 0)
        return web && web->setup == WEB_SETUP_YES ? BY_PASSWORD : BY_NOTHING;
    if (strcmp(query->by, "ingress") == 0)
        return web && web->setup == WEB_SETUP_INGRESS ? BY_INGRESS : BY_NOTHING;
    return BY_NOTHING;
}

/* A search or a trial ends with the session that started it, because a search occupies its port. */
static void stop_long(struct editing *editing)
{
    job_stop(&editing->search);
    job_stop(&editing->trial);
}

static void write_address(const struct web_config *web, char *out, size_t size)
{
    char host[65] = "";
    struct endpoint endpoint;
    gethostname(host, sizeof host - 1);
    if (web_address(web, host, out, size))
        return;
    /* The page is bound to this host alone, or to any free port. */
    const bool good = endpoint_parse(web->listen.at[0], &endpoint);
    snprintf(out, size, "%s://127.0.0.1:%u/", web->tls_cert[0] ? "https" : "http",
             good ? (unsigned) endpoint.port : 0);
}

json_t *editing_arm(struct editing *editing)
{
    /* Without letters and digits that look alike. */
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789";
    uint8_t random[CODE_SIZE - 1];
    char address[300];
    struct outlet_state state;
    bool runs = false; /* at this moment: it may be restarted by a reload */
    const struct web_config *web = web_of(editing);
    if (!web)
        return json_refusal("the configuration has no page: add a section [web] to it, and reload");
    if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
        return json_refusal("the kernel has no random numbers yet; try again");
    for (size_t i = 0; i < sizeof random; i++)
        editing->code[i] = letters[random[i] % (sizeof letters - 1)];
    editing->code[CODE_SIZE - 1] = '\0';
    editing->token[0] = '\0';
    stop_long(editing);
    editing->until = clock_now() + EDITING_ARMED_S;
    write_address(web, address, sizeof address);
    for (unsigned n = 0; outlets_state(editing->overview->outlets, n, &state); n++)
        runs |= strcmp(state.kind, web_section.word) == 0 && state.pid > 0;
    log_info("set-up: created a code, valid for one browser for %.0f minutes",
             EDITING_ARMED_S / 60);
    return json_pack("{s:s, s:s, s:f, s:b}", "code", editing->code, "address", address, "for_s",
                     EDITING_ARMED_S, "runs", runs);
}

/* Answers the request, if it was not answered yet. */
static void answer_saving(struct editing *editing, const char *text)
{
    if (editing->saver.ticket)
        outlets_answer(editing->overview->outlets, editing->saver.ticket, text);
    editing->saver.ticket = 0;
}

static void refuse_saving(struct editing *editing, int http, const char *why)
{
    char *text = json_text(setup_refusal(http, "%s", why));
    answer_saving(editing, text);
    free(text);
}

static void stop_saving(struct editing *editing)
{
    job_stop(&editing->saver);
    editing->state = IDLE;
}

/* How a configuration would be saved: "helper", "folder" (the gateway may write it) or "download" (only the user can). */
static const char *way_to_save(const struct editing *editing)
{
    const char *helper = editing->overview->host->helper;
    if (helper && access(helper, W_OK) == 0)
        return "helper";
    /* Where the file is a link, the folder is that of the file which it leads to. */
    const char *given = editing->overview->file->path;
    char *real = realpath(given, NULL), *path = real ? real : strdup(given);
    const bool may_write = path && access(dirname(path), W_OK | X_OK) == 0;
    free(path);
    return may_write ? "folder" : "download";
}

static int connect_helper(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(path);
    if (size >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, size);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The child outlives the gateway: it then restores the previous file. */
static int start_child(const struct editing *editing)
{
    int pair[2];
    const char *first = editing->overview->host->first;
    const char *words[JOB_WORDS] = {"setup-save", "-c", editing->overview->file->path,
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

static void handle_applied(struct editing *editing, const char *text)
{
    json_t *said = json_loads(text, 0, NULL);
    const char *hash = json_string_value(json_object_get(said, "hash"));
    answer_saving(editing, text);
    if (hash && !json_object_get(said, "error")) {
        editing->state = PENDING;
        editing->keep_until = clock_now() + EDITING_KEEP_S;
        snprintf(editing->hash, sizeof editing->hash, "%s", hash);
        child_expect(&editing->saver.child, EDITING_KEEP_S + QUICK_S);
        log_info("set-up: saved a new configuration; it is undone unless it is kept within %.0f s",
                 EDITING_KEEP_S);
        timer_restart(editing->loop, &editing->reload, RELOAD_LATER_S);
    } else {
        stop_saving(editing);
    }
    json_decref(said);
}

/* The previous file is back, or the new one is kept, or both failed. Only the hash of the saved text proves that it is
 * kept, because a second process reports whatever file the lost one has left. */
static void handle_ended(struct editing *editing, const char *text)
{
    json_t *said = json_loads(text, 0, NULL);
    const char *undone = json_string_value(json_object_get(said, "undone"));
    const char *error = json_string_value(json_object_get(said, "error"));
    const char *hash = json_string_value(json_object_get(said, "hash"));
    const bool kept = !undone && !error && hash && strcmp(hash, editing->hash) == 0;
    if (kept) {
        editing->undone[0] = '\0';
        log_info("set-up: the new configuration is kept");
    } else if (undone || (hash && !error)) {
        if (!editing->undone[0])
            snprintf(editing->undone, sizeof editing->undone, "%s",
                     undone ? undone : "the new one was not found");
        log_warn("set-up: the previous configuration is back: %s", editing->undone);
        timer_restart(editing->loop, &editing->reload, RELOAD_LATER_S);
    } else {
        snprintf(editing->undone, sizeof editing->undone,
                 "the previous one could not be restored: %s", error ? error : "unknown reason");
        log_error("set-up: a configuration that was not kept is in force: %s; the next start "
                  "restores the previous one",
                  editing->undone);
    }
    if (editing->state == KEEPING && !kept && !error)
        refuse_saving(editing, 409, editing->undone);
    else
        answer_saving(editing, text);
    stop_saving(editing);
    json_decref(said);
}

static bool send_line(const struct editing *editing, const char *text)
{
    const size_t size = strlen(text);
    const int fd = editing->saver.child.fd;
    return send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) size &&
           send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

/* Connects to a process that saves, and sends it a request. */
static bool start_saving(struct editing *editing, enum saving state, const char *text)
{
    const char *way = way_to_save(editing);
    const int fd = strcmp(way, "helper") == 0   ? connect_helper(editing->overview->host->helper)
                   : strcmp(way, "folder") == 0 ? start_child(editing)
                                                : -1;
    if (fd < 0)
        return false;
    editing->state = state;
    child_adopt(&editing->saver.child, fd, QUICK_S);
    if (send_line(editing, text))
        return true;
    stop_saving(editing);
    return false;
}

static void on_said(struct job *process)
{
    struct editing *editing = process->data;
    (editing->state == APPLYING ? handle_applied : handle_ended)(editing, process->line);
}

/* The process is lost: another one undoes what it may have saved. If that is lost as well, the next start does it. */
static void on_saver_over(struct job *process, enum child_end end)
{
    static const char *const words[] = {
        [CHILD_ENDED] = "the program that saves the configuration has ended",
        [CHILD_SILENT] = "the program that saves the configuration does not answer",
        [CHILD_TOO_LONG] = "the reply of the program that saves the configuration is too long"};
    struct editing *editing = process->data;
    const bool again = editing->state == RECOVERING;
    log_error("set-up: %s", words[end]);
    refuse_saving(editing, 503, words[end]);
    stop_saving(editing);
    snprintf(editing->undone, sizeof editing->undone, "%s", words[end]);
    if (again || !start_saving(editing, RECOVERING, "undo"))
        log_error("set-up: a configuration that was not kept may be saved; the next start restores "
                  "the previous one");
}

static void send_end(struct editing *editing, bool keep)
{
    editing->state = keep ? KEEPING : UNDOING;
    if (send_line(editing, keep ? "keep" : "undo"))
        child_expect(&editing->saver.child, QUICK_S);
    else
        on_saver_over(&editing->saver, CHILD_ENDED);
}

/* If the gateway rejects the new configuration, the old one stays in force. */
static void on_reload(struct ev_loop *loop, ev_timer *timer, int revents)
{
    struct editing *editing = timer->data;
    const struct overview_host *host = editing->overview->host;
    if (host->reload && !host->reload(host->data) && editing->state == PENDING) {
        snprintf(editing->undone, sizeof editing->undone,
                 "the gateway could not switch to it; the log says why");
        send_end(editing, false);
    }
}

/* The functions below answer a request; NULL: it will be answered later. */

static json_t *ask_arm(struct editing *editing, const struct query *query)
{
    if (!secret_equals(editing->code, query->body))
        return setup_refusal(403, "this code is wrong, expired or already used");
    if (!secret_token(editing->token, TOKEN_SIZE))
        return setup_refusal(503, "the kernel has no random numbers yet; try again");
    editing->code[0] = '\0';
    editing->until = clock_now() + EDITING_ARMED_S;
    log_info("set-up: a browser has used the code");
    return json_pack("{s:s}", "token", editing->token);
}

static json_t *ask_leave(struct editing *editing, const struct query *query)
{
    editing->code[0] = editing->token[0] = '\0';
    stop_long(editing);
    return json_object();
}

static json_t *ask_state(struct editing *editing, const struct query *query)
{
    const double now = clock_now();
    const struct config *config = packs_config(editing->overview->packs);
    const char *by = entrances[query->entrance];
    const struct web_config *web = web_of(editing);
    /* What a person types for a code. Our image has the word that container managers set. */
    const char *command =
        getenv("container") ? "docker exec -it packgate packgate setup" : "sudo packgate setup";
    const bool armed = editing->code[0] || editing->token[0] || query->entrance != BY_NOTHING;
    json_t *state = json_pack("{s:b, s:b, s:s?, s:b, s:s, s:s, s:i}", "armed", armed, "taken",
                              editing->token[0] && query->entrance != BY_CODE, "by", by, "yours",
                              query->entrance != BY_NOTHING, "save", way_to_save(editing),
                              "command", command, "packs", (int) config->pack_count);
    json_object_set_new(state, "expires_s",
                        armed && (query->entrance == BY_CODE || !by)
                            ? json_number(fmax(editing->until - now, 0), 0)
                            : json_null());
    /* A user who logs in may set up, too. */
    json_object_set_new(state, "login", json_boolean(web && web->setup == WEB_SETUP_YES && !by));
    json_object_set_new(state, "pending",
                        editing->state == PENDING
                            ? json_pack("{s:o, s:s}", "keep_within_s",
                                        json_number(fmax(editing->keep_until - now, 0), 0), "hash",
                                        editing->hash)
                            : json_null());
    json_object_set_new(state, "undone",
                        editing->undone[0] ? json_string(editing->undone) : json_null());
    /* Everybody can read the masked configuration; with the hash of the whole text they could test guesses of its secrets. */
    if (query->entrance == BY_NOTHING)
        json_object_del(json_object_get(state, "pending"), "hash");
    return state;
}

static void on_quick_over(struct job *job, enum child_end end)
{
    const struct editing *editing = job->data;
    const char *text = job->line;
    outlets_answer(editing->overview->outlets, job->ticket,
                   text ? text
                        : "{\"error\":\"the process failed or took too long\",\"http\":503}");
    job_stop(job);
}

/* Starts the process that does what the query asks for. */
static bool start_job(const struct editing *editing, const struct query *query, struct job *job,
                      double most_s)
{
    const char *first = editing->overview->host->first;
    const char *words[JOB_WORDS] = {
        "setup-work", query->verb, "-c", editing->overview->file->path, first ? "--first" : NULL,
        first};
    return job_start(job, words, query->body, most_s);
}

static json_t *ask_quick(struct editing *editing, const struct query *query)
{
    struct job *job = editing->quick;
    while (job < editing->quick + QUICK_MAX && job_runs(job))
        job++;
    if (job == editing->quick + QUICK_MAX || !start_job(editing, query, job, QUICK_S))
        return setup_refusal(503, "busy");
    job->ticket = query->ticket;
    return NULL;
}

/* The whole text, unmasked: only if nothing but the browser can save it. */
static json_t *ask_text(struct editing *editing, const struct query *query)
{
    if (strcmp(way_to_save(editing), "download") == 0)
        return ask_quick(editing, query);
    return setup_refusal(403,
                         "the gateway can save the configuration itself, so it does not send it");
}

static json_t *start_long(const struct editing *editing, const struct query *query, struct job *job)
{
    return start_job(editing, query, job, LONG_S) ? json_pack("{s:i}", "http", 202)
                                                  : setup_refusal(503, "busy");
}

/* A search would send between the polls of a configured line. */
static json_t *search_port(struct editing *editing, const struct query *query, const char *port)
{
    const struct config *config = packs_config(editing->overview->packs);
    if (!port)
        return setup_refusal(400, "expected {\"port\":\"…\"}");
    const struct line_config *line = config_line_on(config, port);
    if (line)
        return setup_refusal(409, "this port is in use by [line %s]", line->name);
    if (!edits_is_port_good(port))
        return setup_refusal(403, "of this host, only devices below /dev are searched");
    return start_long(editing, query, &editing->search);
}

static json_t *ask_probe(struct editing *editing, const struct query *query)
{
    json_t *request = json_loads(query->body, 0, NULL);
    json_t *answer =
        search_port(editing, query, json_string_value(json_object_get(request, "port")));
    json_decref(request);
    return answer;
}

static json_t *ask_stop(struct editing *editing, const struct query *query)
{
    job_stop(&editing->search);
    return json_object();
}

/* The gateway itself sees whether a Modbus client reads; a process tries everything else. */
static json_t *ask_try(struct editing *editing, const struct query *query)
{
    json_t *request = json_loads(query->body, 0, NULL);
    const char *kind = json_string_value(json_object_get(request, "kind"));
    editing->awaits_request = kind && strcmp(kind, "modbus") == 0;
    json_decref(request);
    if (!editing->awaits_request)
        return start_long(editing, query, &editing->trial);
    job_stop(&editing->trial);
    editing->requests = server_counters(editing->overview->server).requests;
    return json_pack("{s:i}", "http", 202);
}

/* How far the search or the trial is: the last line of its process. */
static json_t *ask_progress(struct editing *editing, const struct query *query)
{
    const bool probed = strcmp(query->verb, "probed") == 0;
    if (!probed && editing->awaits_request) {
        const bool came = server_counters(editing->overview->server).requests != editing->requests;
        return json_pack("{s:b, s:[{s:s, s:o, s:s}]}", "running", !came, "steps", "name", "request",
                         "ok", came ? json_true() : json_null(), "text", "");
    }
    const struct job *job = probed ? &editing->search : &editing->trial;
    json_t *object = job->line ? json_loads(job->line, 0, NULL) : NULL;
    if (!object)
        object = json_object();
    json_object_set_new(object, "running", json_boolean(job_runs(job)));
    return object;
}

/* A search may still use a port that the new configuration names. */
static json_t *ask_apply(struct editing *editing, const struct query *query)
{
    stop_long(editing);
    if (editing->state != IDLE)
        return setup_refusal(409, "another configuration is not kept yet");
    editing->undone[0] = editing->hash[0] = '\0';
    if (!start_saving(editing, APPLYING, query->body))
        return setup_refusal(
            strcmp(way_to_save(editing), "download") == 0 ? 501 : 503,
            "nothing on this host can write the configuration: download it and save it yourself");
    editing->saver.ticket = query->ticket;
    return NULL;
}

static json_t *ask_end(struct editing *editing, const struct query *query)
{
    const bool keep = strcmp(query->verb, "keep") == 0;
    if (editing->state != PENDING)
        return setup_refusal(409, "there is no configuration to keep or to undo");
    if (keep && ev_is_active(&editing->reload))
        return setup_refusal(409, "the gateway has not switched to it yet");
    editing->saver.ticket = query->ticket;
    if (!keep)
        snprintf(editing->undone, sizeof editing->undone, "it was undone in the browser");
    send_end(editing, keep);
    return NULL;
}

static const struct {
    const char *verb;
    json_t *(*ask)(struct editing *editing, const struct query *query);
    bool open;  /* to every browser that reaches the page */
    bool looks; /* does not extend the session */
} verbs[] = {
    {.verb = "state", .ask = ask_state, .open = true, .looks = true},
    {.verb = "arm", .ask = ask_arm, .open = true, .looks = true},
    {.verb = "leave", .ask = ask_leave, .looks = true},
    {.verb = "config", .ask = ask_quick},
    {.verb = "keys", .ask = ask_quick},
    {.verb = "ports", .ask = ask_quick},
    {.verb = "check", .ask = ask_quick},
    {.verb = "text", .ask = ask_text},
    {.verb = "apply", .ask = ask_apply},
    {.verb = "keep", .ask = ask_end},
    {.verb = "undo", .ask = ask_end},
    {.verb = "probe", .ask = ask_probe},
    {.verb = "probed", .ask = ask_progress},
    {.verb = "stop", .ask = ask_stop},
    {.verb = "try", .ask = ask_try},
    {.verb = "tried", .ask = ask_progress},
};

static json_t *answer_query(struct editing *editing, const char *text, uint64_t ticket)
{
    char verb[16], by[16], token[TOKEN_SIZE];
    const double now = clock_now();
    int used = 0;
    struct query query = {.verb = verb, .by = by, .token = token, .ticket = ticket};
    if (sscanf(text, "%15s %15s %64s%n", verb, by, token, &used) != 3 || text[used] != '\n')
        return setup_refusal(400, "expected setup VERB BY TOKEN");
    query.body = text + used + 1;
    size_t i = 0;
    while (i < COUNT(verbs) && strcmp(verbs[i].verb, verb) != 0)
        i++;
    query.entrance = entrance_of(editing, &query, now);
    if (i == COUNT(verbs))
        return setup_refusal(404, "there is nothing at this address");
    if (query.entrance == BY_NOTHING && !verbs[i].open)
        return setup_refusal(403, "set-up is not open for this browser");
    if (query.entrance == BY_CODE && !verbs[i].looks)
        editing->until = now + EDITING_ARMED_S;
    // cppcheck-suppress returnDanglingLifetime ; JSON has copies of its texts
    return verbs[i].ask(editing, &query);
}

void editing_ask(struct editing *editing, const char *text, uint64_t ticket)
{
    char *answer = json_text(answer_query(editing, text, ticket));
    if (answer)
        outlets_answer(editing->overview->outlets, ticket, answer);
    free(answer);
}

struct editing *editing_new(struct ev_loop *loop, const struct overview *overview)
{
    struct editing *editing = alloc_zeroed(1, sizeof *editing);
    editing->loop = loop;
    editing->overview = overview;
    for (size_t i = 0; i < QUICK_MAX; i++)
        job_init(&editing->quick[i], loop, on_quick_over, editing);
    job_init(&editing->search, loop, NULL, editing);
    job_init(&editing->trial, loop, NULL, editing);
    job_init(&editing->saver, loop, on_saver_over, editing);
    editing->saver.said = on_said;
    ev_init(&editing->reload, on_reload);
    editing->reload.data = editing;
    return editing;
}

void editing_free(struct editing *editing)
{
    for (size_t i = 0; i < QUICK_MAX; i++)
        job_stop(&editing->quick[i]);
    stop_long(editing);
    stop_saving(editing);
    ev_timer_stop(editing->loop, &editing->reload);
    free(editing);
}
